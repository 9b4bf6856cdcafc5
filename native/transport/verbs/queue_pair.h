#pragma once
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
    uint64_t id = 0;
    uint32_t slot = 0, bytes = 0, immediate = 0;
    bool signalled = false;
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
  std::byte* receiveSlot(uint32_t slot) const { return receives_[slot]; }
  /// Takes the memory of a receive that has come, at most kMostKept at a time. Its slot gets other memory.
  void keep(uint32_t slot) { std::swap(receives_[slot], kept_[--spares_]); }
  /// Gives such memory back.
  void giveBack(const std::byte* memory) { kept_[spares_++] = const_cast<std::byte*>(memory); }

  /// Makes it ready to send and receive and posts all receives, in slot order. False with the reason.
  bool connect(const End& own, const End& peer, int gidIndex, std::string& why);
  /// Posts `count` receives from `slot` on, around the end. False with the reason.
  bool postReceives(uint32_t slot, uint32_t count, std::string& why);
  /// Makes the frame the one at `index`, below kMostSends, and the last of those that postSends() hands over. In order,
  /// from 0.
  void stage(uint32_t index, const Send& send);
  /// Hands over what was staged in one go. 0, or what explainPost() takes.
  int postSends();
  std::string explainPost(int failed) const;
  /// Hands up to kMostEvents completions to `take` and says how many there were; below 0, for explainPoll(), when the
  /// completion queue is broken.
  template <class Take>
  int poll(Take take);
  std::string explainPoll(int count) const;

  /// Readable after arm() once something completed; -1 where the device has no events.
  int eventFd() const { return channel_ == nullptr ? -1 : channel_->fd; }
  /// Asks for the next completion to be announced; what has completed before is to be polled for after this.
  bool arm();

  static constexpr uint32_t kMostSends = 16;
  static constexpr uint32_t kMostEvents = 32;
  /// Send slots beyond sendSlots(), for frames outside of the count.
  static constexpr uint32_t kSpareSends = 1;
  static constexpr uint32_t kMostKept = 4;

 private:
  static constexpr uint64_t kReceiveBit = uint64_t{1} << 63;
  explicit QueuePair(std::shared_ptr<Device> device);
  bool allocate(std::string& why);
  bool createQueues(std::string& why);
  void prepareSends();
  bool toReadyToReceive(const End& own, const End& peer, int gidIndex, std::string& why);

  std::shared_ptr<Device> device_;
  const Library& library_;
  uint32_t sendSlots_, receiveSlots_;
  size_t mappedBytes_ = 0;
  std::byte* memory_ = nullptr;
  std::vector<std::byte*> receives_;  ///< where each slot's receive goes
  std::array<std::byte*, kMostKept> kept_{};  ///< the first `spares_` are free
  uint32_t spares_ = 0;
  abi::ibv_mr* region_ = nullptr;
  abi::ibv_comp_channel* channel_ = nullptr;
  abi::ibv_cq* cq_ = nullptr;
  abi::ibv_qp* qp_ = nullptr;
  // Kept, since to make them anew takes longer than to fill in what changes.
  std::array<abi::ibv_send_wr, kMostSends> requests_{};
  std::array<abi::ibv_sge, kMostSends> places_{};
  bool pairCounted_ = false, regionCounted_ = false, useImmediate_ = false;
};

// In every message's way:

inline void QueuePair::stage(uint32_t index, const Send& send) {
  places_[index].addr = reinterpret_cast<uintptr_t>(sendSlot(send.slot));
  places_[index].length = send.bytes;
  abi::ibv_send_wr& request = requests_[index];
  request.wr_id = send.id;
  request.send_flags = send.signalled ? static_cast<unsigned>(abi::IBV_SEND_SIGNALED) : 0u;
  request.next = nullptr;
  if (index > 0) requests_[index - 1].next = &request;
  if (useImmediate_) abi::setImmediate(request, send.immediate);
}

inline int QueuePair::postSends() {
  abi::ibv_send_wr* bad = nullptr;
  return abi::postSend(qp_, requests_.data(), &bad);
}

template <class Take>
[[gnu::always_inline]] inline int QueuePair::poll(Take take) {
  abi::ibv_wc completions[kMostEvents];
  const int count = abi::pollCq(cq_, kMostEvents, completions);
  for (int i = 0; i < count; ++i) {
    const abi::ibv_wc& one = completions[i];
    const bool isReceive = (one.wr_id & kReceiveBit) != 0;
    Event event{isReceive, static_cast<int>(one.status), one.wr_id & ~kReceiveBit, one.byte_len, 0, false};
    event.hasImmediate = abi::immediateOf(one, event.immediate);
    take(event);
  }
  return count;
}

}  // namespace espalier::transport::verbs
