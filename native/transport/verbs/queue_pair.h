#pragma once
#include <memory>
#include <span>
#include <string>

#include "transport/verbs/device.h"

namespace espalier::transport::verbs {

/// Both ends count work in frames of this size: a receive of another size than the send that meets it fails on Apple's
/// devices, and one frame is one packet at the largest MTU.
inline constexpr uint32_t kFrameBytes = 4096;

/// What one end of a queue pair must know of the other.
struct End {
  uint32_t number = 0;
  uint32_t firstPacket = 0;  ///< packet sequence number that it starts with
  int mtu = 0;               ///< as the verbs count: 5 is 4096 bytes
  bool sendOnly = false;     ///< has no immediate data
  Gid gid{};
};

/// One UC queue pair with its completion queue and registered buffers, for the life of a link: bring-ups use up a
/// driver's resources for good on a Mac. Everything is given back in order by the destructor, however far it got.
class QueuePair {
 public:
  // Neither is initialised: arrays of them live on the stack of every look.
  /// A completion, already told apart.
  struct Event {
    bool isReceive;
    int status;
    uint64_t id;      ///< as posted
    uint32_t bytes;   ///< received
    uint32_t immediate;
    bool hasImmediate;
  };
  struct Send {
    uint64_t id;
    uint32_t slot, bytes, immediate;
    bool signalled;
  };

  /// Null with the reason.
  static std::unique_ptr<QueuePair> create(std::shared_ptr<Device> device, std::string& why);
  ~QueuePair();
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;

  uint32_t number() const { return qp_->qp_num; }
  const Device& device() const { return *device_; }
  /// Whether tags travel as immediate data: both ends have it. Known after connect().
  bool usesImmediate() const { return useImmediate_; }
  uint32_t sendSlots() const { return sendSlots_; }
  /// Receives that are posted, known after connect().
  uint32_t receiveSlots() const { return receiveSlots_; }
  std::byte* sendSlot(uint32_t slot) const { return memory_ + size_t{slot} * kFrameBytes; }
  std::byte* receiveSlot(uint32_t slot) const { return sendSlot(sendSlots_ + kSpareSends + slot); }

  /// Makes it ready to send and receive and posts all receives, in slot order. False with the reason.
  bool connect(const End& own, const End& peer, int gidIndex, std::string& why);
  /// Posts `count` receives from `slot` on, around the end. False with the reason.
  bool postReceives(uint32_t slot, uint32_t count, std::string& why);
  /// Hands over up to kMostSends frames in one go. False with the reason.
  bool postSends(std::span<const Send> sends, std::string& why);
  /// Fills `events`; -1 with the reason when the completion queue is broken.
  int poll(std::span<Event> events, std::string& why);

  /// Readable after arm() once something completed; -1 where the device has no events.
  int eventFd() const { return channel_ == nullptr ? -1 : channel_->fd; }
  /// Asks for the next completion to be announced; what has completed before is to be polled for after this.
  bool arm();

  static constexpr uint32_t kMostSends = 16;
  static constexpr uint32_t kMostEvents = 32;
  /// Send slots beyond sendSlots(), for frames outside of the count.
  static constexpr uint32_t kSpareSends = 1;

 private:
  explicit QueuePair(std::shared_ptr<Device> device);
  bool allocate(std::string& why);
  bool createQueues(std::string& why);
  bool toReadyToReceive(const End& own, const End& peer, int gidIndex, std::string& why);

  std::shared_ptr<Device> device_;
  const Library& library_;
  uint32_t sendSlots_, receiveSlots_;
  size_t mappedBytes_ = 0;
  std::byte* memory_ = nullptr;
  abi::ibv_mr* region_ = nullptr;
  abi::ibv_comp_channel* channel_ = nullptr;
  abi::ibv_cq* cq_ = nullptr;
  abi::ibv_qp* qp_ = nullptr;
  bool pairCounted_ = false, regionCounted_ = false, useImmediate_ = false;
};

}  // namespace espalier::transport::verbs
