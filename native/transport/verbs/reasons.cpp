#include "transport/verbs/reasons.h"

#include <cerrno>
#include <cstring>

namespace espalier::transport::verbs {
namespace {

/// Matches any error that no earlier row of the same step matches.
constexpr int kAny = -1;
// Numbers as macOS counts them; Linux has other meanings for some, which never come from these calls.
constexpr int kMacTimedOut = 60, kMacNoAddress = 96, kMacNotSupported = 102;

struct Row {
  Step step;
  int error;
  Reason reason;
};

constexpr Row kRows[] = {
    {Step::Library, kAny,
     {"LibraryMissing", "the verbs library cannot be opened",
      "on Linux install libibverbs1 and ibverbs-providers; on a Mac run macOS 26.2 or later"}},

    {Step::Devices, ENODEV,
     {"NoDevice", "there is no RDMA device",
      "on a Mac with Thunderbolt 5 enable RDMA in Recovery (rdma_ctl enable) and reboot; on Linux load the driver"}},
    {Step::Devices, ENOENT,
     {"DeviceUnknown", "no RDMA device has that name", "correct the cable's device name; ibv_devices lists them"}},
    {Step::Devices, EEXIST,
     {"DeviceAmbiguous", "several devices are active and none is named for this peer",
      "name the cable's device for each peer"}},
    {Step::Devices, ENOSYS,
     {"BuiltWithout", "this build has no verbs", "build it with an SDK of macOS 26.2 or later"}},
    {Step::Devices, kAny, {"NoDevice", "the RDMA devices cannot be listed", "check the driver and the rights to it"}},

    {Step::Open, kAny,
     {"DeviceBusy", "the device cannot be opened",
      "check the rights to it; after a crash of a process that used it, reboot"}},

    {Step::Port, ENETDOWN,
     {"PortDown", "the port is not active",
      "plug the cable in at both ends and enable RDMA on the host at the other end", false}},
    {Step::Port, kAny, {"PortUnreadable", "the port cannot be queried", "check the driver; reboot if this lasts"}},

    {Step::Gid, EADDRNOTAVAIL,
     {"NoIpv4Gid", "the port has no IPv4-mapped GID of its own interface",
      "give the cable's interface an IPv4 address, link-local will do (ifconfig IF inet 169.254.0.1 netmask "
      "255.255.0.0 alias)"}},
    {Step::Gid, EAFNOSUPPORT,
     {"NoCommonGid", "one end has only IPv4 GIDs and the other only IPv6 ones",
      "give both ends of the cable an IPv4 address"}},
    {Step::Gid, kAny, {"GidUnreadable", "the GID table cannot be read", "check the driver"}},

    {Step::Domain, kAny,
     {"NoProtectionDomain", "no protection domain: the port is down, or earlier processes left resources behind",
      "check the cable; if the port is active, reboot this host"}},

    {Step::Memory, EINVAL,
     {"MemoryRefused", "the device does not take this memory", "report this: buffers are page-aligned and mapped"}},
    {Step::Memory, EPERM,
     {"MemoryLocked", "memory may not be locked", "raise the limit of locked memory (ulimit -l)"}},
    {Step::Memory, EAGAIN,
     {"MemoryLocked", "too much memory would be locked", "raise the limit of locked memory (ulimit -l)"}},
    {Step::Memory, kAny,
     {"MemoryRegionLimit", "no memory region is left: a device has some 100, and some jobs take 64",
      "end other RDMA jobs on this device"}},

    {Step::CompletionQueue, kAny,
     {"NoCompletionQueue", "no completion queue is left", "end other RDMA jobs on this device"}},

    {Step::QueuePair, EBUSY,
     {"QueuePairLimit", "no queue pair is left: a device has 10 for all processes together",
      "end other RDMA jobs on this device or use fewer split groups"}},
    {Step::QueuePair, kMacNotSupported,
     {"QueuePairKind", "the device has no UC queue pairs", "use another device or TCP"}},
    {Step::QueuePair, EOPNOTSUPP,
     {"QueuePairKind", "the device has no UC queue pairs", "use another device or TCP"}},
    {Step::QueuePair, ENOMEM,
     {"QueuePairMemory", "no memory for a queue pair", "raise the limit of locked memory (ulimit -l)"}},
    {Step::QueuePair, kAny,
     {"QueuePairRefused", "the device refuses a queue pair", "end other RDMA jobs on this device; reboot if this lasts"}},

    {Step::Init, kAny, {"QueuePairState", "the queue pair does not start", "reboot this host if this lasts"}},

    {Step::ReadyToReceive, EINVAL,
     {"GidRefused", "the GID is bad or unset: no IP address on the port, or the interface is part of a bridge",
      "give the interface an address and make the Thunderbolt bridge inactive"}},
    {Step::ReadyToReceive, kMacTimedOut,
     {"GidUnreachable", "the peer's GID does not answer on this cable: wrong pairing, or no address at the other end",
      "check which device each end of the cable has, and both addresses (ping6 ff02::1%IF)", false}},
    {Step::ReadyToReceive, ETIMEDOUT,
     {"GidUnreachable", "the peer's GID does not answer on this cable: wrong pairing, or no address at the other end",
      "check which device each end of the cable has, and both addresses", false}},
    {Step::ReadyToReceive, EHOSTUNREACH,
     {"GidUnreachable", "there is no way to the peer's GID from this port", "check both addresses", false}},
    {Step::ReadyToReceive, ENETUNREACH,
     {"GidUnreachable", "there is no way to the peer's GID from this port", "check both addresses", false}},
    {Step::ReadyToReceive, EBUSY,
     {"StaleResources", "a process that crashed left resources behind", "reboot this host"}},
    {Step::ReadyToReceive, kMacNoAddress,
     {"NoAddress", "the port has no IPv4 address", "give the cable's interface an IPv4 address"}},
    {Step::ReadyToReceive, EFAULT,
     {"DriverExhausted", "the driver has run out of what each bring-up takes for good", "reboot this host"}},
    {Step::ReadyToReceive, kAny,
     {"QueuePairState", "the queue pair does not get ready to receive", "reboot this host if this lasts"}},

    {Step::ReadyToSend, kAny,
     {"QueuePairState", "the queue pair does not get ready to send", "reboot this host if this lasts"}},

    {Step::PostReceive, ENOMEM,
     {"ReceiveQueueFull", "the device takes fewer receives than it granted", "report this with the device's name"}},
    {Step::PostReceive, kAny,
     {"PostRefused", "the device refuses a receive", "check the cable; reboot if this lasts"}},
    {Step::PostSend, ENOMEM,
     {"SendQueueFull", "the device takes fewer sends than it granted", "report this with the device's name"}},
    {Step::PostSend, kAny, {"PostRefused", "the device refuses a send", "check the cable; reboot if this lasts"}},

    // Completion statuses are the same numbers everywhere.
    {Step::Completion, 1,
     {"FrameTooLong", "a frame was longer than the receive that it met", "run one release on all nodes"}},
    {Step::Completion, 2,
     {"QueuePairBroken", "the queue pair failed while sending", "check the cable and the port", false}},
    {Step::Completion, 4, {"MemoryRefused", "the device lost its right to a buffer", "report this"}},
    {Step::Completion, 5,
     {"Flushed", "the queue pair was shut down with work on it: the cable or the device is gone",
      "check the cable and the port", false}},
    {Step::Completion, kAny,
     {"CompletionFailed", "a send or receive failed on the device", "check the cable and the port", false}},

    {Step::Probe, kAny,
     {"NoFrames", "frames do not come through this cable though both ports are active",
      "check that both ranks name the two ends of the same cable, and that its MTU carries 4096 bytes", false}},

    {Step::Peer, kAny, {"PeerGaveUp", "the other end cannot use verbs", "its reason says what to do there", false}},
};

}  // namespace

Reason reasonFor(Step step, int error) {
  for (const Row& row : kRows) {
    if (row.step == step && (row.error == kAny || row.error == error)) return row.reason;
  }
  return {"Unknown", "verbs failed", "report this"};
}

std::string explain(Step step, int error, const std::string& device, const std::string& detail) {
  const Reason reason = reasonFor(step, error);
  std::string text = std::string("verbs ") + reason.code;
  if (!device.empty()) text += " on " + device;
  text += std::string(": ") + reason.meaning;
  const bool isErrno = step > Step::Gid && step < Step::Completion;
  if (error != 0 && isErrno) text += " (errno " + std::to_string(error) + ", " + std::strerror(error) + ")";
  if (error != 0 && step == Step::Completion) text += " (status " + std::to_string(error) + ")";
  if (!detail.empty()) text += ": " + detail;
  return text + "; " + reason.remedy;
}

}  // namespace espalier::transport::verbs
