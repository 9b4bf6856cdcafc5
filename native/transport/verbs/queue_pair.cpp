#include "transport/verbs/queue_pair.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "transport/verbs/reasons.h"
#include "transport/wire/socket.h"

namespace espalier::transport::verbs {
namespace {

/// Room for a piece of 64 KiB on its way in while another is taken out, and some frames for the way back.
constexpr uint32_t kSlots = 72;
/// What Apple's driver takes in fact, whatever depth it grants (hellas-ai/thunderbolt-ibverbs #35).
constexpr uint32_t kAppleSlots = 32;
constexpr uint32_t kLeastSlots = 16;
constexpr int kNeighbourMs = 300;

/// One datagram to the peer makes the system look up its neighbour entry, without which RTR fails on a Mac.
void wakeNeighbour(const Gid& gid) {
  if (!isIpv4Mapped(gid)) return;
  const Socket socket = newSocket(AF_INET, SOCK_DGRAM);
  if (!socket.valid()) return;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(9);  // discard
  std::memcpy(&to.sin_addr, gid.data() + 12, 4);
  sendto(socket.fd(), "", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
}

template <class Enum>
void put(Enum& field, int value) {
  field = static_cast<Enum>(value);
}

}  // namespace

QueuePair::QueuePair(std::shared_ptr<Device> device)
    : device_(std::move(device)),
      library_(device_->library()),
      sendSlots_(device_->sendOnly() ? kAppleSlots - kSpareSends : kSlots),
      receiveSlots_(device_->sendOnly() ? kAppleSlots : kSlots) {}

std::unique_ptr<QueuePair> QueuePair::create(std::shared_ptr<Device> device, std::string& why) {
  std::unique_ptr<QueuePair> pair(new QueuePair(std::move(device)));
  return pair->createQueues(why) && pair->allocate(why) ? std::move(pair) : nullptr;
}

QueuePair::~QueuePair() {
  if (qp_ != nullptr) {
    abi::ibv_qp_attr attributes{};
    put(attributes.qp_state, abi::IBV_QPS_ERR);
    library_.modifyQp(qp_, &attributes, abi::IBV_QP_STATE);
    library_.destroyQp(qp_);
  }
  if (cq_ != nullptr) library_.destroyCq(cq_);
  if (channel_ != nullptr) library_.destroyChannel(channel_);
  if (region_ != nullptr) library_.deregMr(region_);
  if (memory_ != nullptr) munmap(memory_, mappedBytes_);
  if (regionCounted_) device_->give(Device::Scarce::Region);
  if (pairCounted_) device_->give(Device::Scarce::QueuePair);
}

bool QueuePair::createQueues(std::string& why) {
  pairCounted_ = device_->take(Device::Scarce::QueuePair);
  if (!pairCounted_) {
    why = explain(Step::QueuePair, EBUSY, device_->name());
    return false;
  }
  const auto most = static_cast<uint32_t>(std::max(1, device_->limits().max_qp_wr));
  sendSlots_ = std::min(sendSlots_, most - kSpareSends);
  receiveSlots_ = std::min(receiveSlots_, most);
  if (library_.createChannel && library_.getCqEvent && library_.ackCqEvents && !device_->sendOnly()) {
    channel_ = library_.createChannel(device_->context());
    if (channel_ != nullptr) fcntl(channel_->fd, F_SETFL, fcntl(channel_->fd, F_GETFL) | O_NONBLOCK);
  }
  errno = 0;
  const auto entries = static_cast<int>(sendSlots_ + kSpareSends + receiveSlots_);
  cq_ = library_.createCq(device_->context(), entries, nullptr, channel_, 0);
  if (cq_ == nullptr) {
    why = explain(Step::CompletionQueue, errno, device_->name());
    return false;
  }
  abi::ibv_qp_init_attr wanted{};
  wanted.send_cq = wanted.recv_cq = cq_;
  put(wanted.qp_type, abi::IBV_QPT_UC);
  wanted.cap.max_send_wr = sendSlots_ + kSpareSends;
  wanted.cap.max_recv_wr = receiveSlots_;
  wanted.cap.max_send_sge = wanted.cap.max_recv_sge = 1;
  errno = 0;
  qp_ = library_.createQp(device_->domain(), &wanted);
  if (qp_ == nullptr) {
    why = explain(Step::QueuePair, errno, device_->name());
    return false;
  }
  abi::ibv_qp_attr granted{};
  abi::ibv_qp_init_attr initial{};
  if (library_.queryQp(qp_, &granted, abi::IBV_QP_CAP, &initial) == 0 && granted.cap.max_recv_wr > 0) {
    sendSlots_ = std::min(sendSlots_, granted.cap.max_send_wr - kSpareSends);
    receiveSlots_ = std::min(receiveSlots_, granted.cap.max_recv_wr);
  }
  if (std::min(sendSlots_, receiveSlots_) >= kLeastSlots - kSpareSends) return true;
  why = explain(Step::QueuePair, ENOMEM, device_->name(), "it grants too few work requests");
  return false;
}

bool QueuePair::allocate(std::string& why) {
  regionCounted_ = device_->take(Device::Scarce::Region);
  if (!regionCounted_) {
    why = explain(Step::Memory, ENOMEM, device_->name());
    return false;
  }
  // Mapped, not from the heap: reports say that Apple's driver does not take heap memory.
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const uint32_t receiveFrames = receiveSlots_ + kMostKept;
  mappedBytes_ = (size_t{sendSlots_ + kSpareSends + receiveFrames} * kFrameBytes + page - 1) / page * page;
  void* mapped = mmap(nullptr, mappedBytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    why = explain(Step::Memory, errno, device_->name());
    return false;
  }
  memory_ = static_cast<std::byte*>(mapped);
  for (uint32_t slot = 0; slot < receiveSlots_; ++slot) receives_.push_back(sendSlot(sendSlots_ + kSpareSends + slot));
  for (; spares_ < kMostKept; ++spares_) kept_[spares_] = sendSlot(sendSlots_ + kSpareSends + receiveSlots_ + spares_);
#ifdef MADV_DONTFORK
  // A child of this process would make our pages copies, while the device goes on writing to the old ones.
  madvise(memory_, mappedBytes_, MADV_DONTFORK);
#endif
  errno = 0;
  region_ = library_.regMr(device_->domain(), memory_, mappedBytes_, abi::kAccessLocalWrite);
  if (region_ == nullptr) why = explain(Step::Memory, errno, device_->name());
  return region_ != nullptr;
}

bool QueuePair::connect(const End& own, const End& peer, int gidIndex, std::string& why) {
  useImmediate_ = !own.sendOnly && !peer.sendOnly;
  abi::ibv_qp_attr init{};
  put(init.qp_state, abi::IBV_QPS_INIT);
  init.port_num = kPort;
  int failed = library_.modifyQp(
      qp_, &init, abi::IBV_QP_STATE | abi::IBV_QP_PKEY_INDEX | abi::IBV_QP_PORT | abi::IBV_QP_ACCESS_FLAGS);
  if (failed != 0) {
    why = explain(Step::Init, failed, device_->name());
    return false;
  }
  if (!toReadyToReceive(own, peer, gidIndex, why)) return false;
  abi::ibv_qp_attr send{};
  put(send.qp_state, abi::IBV_QPS_RTS);
  send.sq_psn = own.firstPacket;
  failed = library_.modifyQp(qp_, &send, abi::IBV_QP_STATE | abi::IBV_QP_SQ_PSN);
  if (failed != 0) {
    why = explain(Step::ReadyToSend, failed, device_->name());
    return false;
  }
  prepareSends();
  // One by one: what the device really takes shows only here.
  for (uint32_t slot = 0; slot < receiveSlots_; ++slot) {
    if (postReceives(slot, 1, why)) continue;
    if (slot < kLeastSlots) return false;
    receiveSlots_ = slot;
    why.clear();
  }
  return true;
}

void QueuePair::prepareSends() {
  for (uint32_t i = 0; i < kMostSends; ++i) {
    places_[i].lkey = region_->lkey;
    put(requests_[i].opcode, abi::IBV_WR_SEND);
    requests_[i].sg_list = &places_[i];
    requests_[i].num_sge = 1;
  }
}

bool QueuePair::toReadyToReceive(const End& own, const End& peer, int gidIndex, std::string& why) {
  abi::ibv_qp_attr receive{};
  put(receive.qp_state, abi::IBV_QPS_RTR);
  put(receive.path_mtu, std::min({own.mtu, peer.mtu, static_cast<int>(abi::IBV_MTU_4096)}));
  receive.dest_qp_num = peer.number;
  receive.rq_psn = peer.firstPacket;
  receive.ah_attr.is_global = 1;
  receive.ah_attr.port_num = kPort;
  std::memcpy(receive.ah_attr.grh.dgid.raw, peer.gid.data(), peer.gid.size());
  receive.ah_attr.grh.sgid_index = static_cast<uint8_t>(gidIndex);
  receive.ah_attr.grh.hop_limit = 1;
  const int mask =
      abi::IBV_QP_STATE | abi::IBV_QP_AV | abi::IBV_QP_PATH_MTU | abi::IBV_QP_DEST_QPN | abi::IBV_QP_RQ_PSN;
  wakeNeighbour(peer.gid);
  int failed = library_.modifyQp(qp_, &receive, mask);
  if (failed != 0 && !reasonFor(Step::ReadyToReceive, failed).lasting) {
    // The neighbour may just not have answered yet. Once: bring-ups are not for nothing.
    std::this_thread::sleep_for(std::chrono::milliseconds(kNeighbourMs));
    failed = library_.modifyQp(qp_, &receive, mask);
  }
  if (failed != 0) why = explain(Step::ReadyToReceive, failed, device_->name(), "peer " + textOf(peer.gid));
  return failed == 0;
}

bool QueuePair::postReceives(uint32_t slot, uint32_t count, std::string& why) {
  while (count > 0) {
    abi::ibv_recv_wr requests[kMostSends];
    abi::ibv_sge places[kMostSends];
    const uint32_t batch = std::min(count, kMostSends);
    for (uint32_t i = 0; i < batch; ++i) {
      const uint32_t at = (slot + i) % receiveSlots_;
      places[i] = {reinterpret_cast<uintptr_t>(receiveSlot(at)), kFrameBytes, region_->lkey};
      requests[i] = {};
      requests[i].wr_id = kReceiveBit | at;
      requests[i].sg_list = &places[i];
      requests[i].num_sge = 1;
      requests[i].next = i + 1 < batch ? &requests[i + 1] : nullptr;
    }
    abi::ibv_recv_wr* bad = nullptr;
    const int failed = abi::postReceive(qp_, requests, &bad);
    if (failed != 0) {
      why = explain(Step::PostReceive, failed < 0 ? -failed : failed, device_->name());
      return false;
    }
    slot = (slot + batch) % receiveSlots_;
    count -= batch;
  }
  return true;
}

std::string QueuePair::explainPost(int failed) const {
  return explain(Step::PostSend, std::abs(failed), device_->name());
}

std::string QueuePair::explainPoll(int count) const {
  return explain(Step::Completion, -count, device_->name(), "the completion queue is broken");
}

bool QueuePair::arm() {
  if (channel_ == nullptr) return false;
  // Old news: whoever looks polls anyway.
  abi::ibv_cq* cq = nullptr;
  void* context = nullptr;
  while (library_.getCqEvent(channel_, &cq, &context) == 0) library_.ackCqEvents(cq, 1);
  return abi::requestNotification(cq_);
}

}  // namespace espalier::transport::verbs
