#include <cerrno>
#include <cstring>
#include <random>
#include <set>

#include "test/transport/ranks.h"
#include "transport/verbs/abi.h"
#include "transport/verbs/frame_size.h"
#include "transport/verbs/gid.h"
#include "transport/verbs/inbox.h"
#include "transport/verbs/reasons.h"

#if !defined(__APPLE__) && __has_include(<infiniband/verbs.h>)
#include <infiniband/verbs.h>

// What abi.h writes down is what the real header says, where there is one.
namespace abi = espalier::transport::verbs::abi;
#define SAME_FIELD(type, field) \
  static_assert(offsetof(::type, field) == offsetof(abi::type, field) && sizeof(::type::field) == sizeof(abi::type::field))
#define SAME_SIZE(type) static_assert(sizeof(::type) == sizeof(abi::type))
SAME_FIELD(ibv_context, ops.poll_cq);
SAME_FIELD(ibv_context, ops.req_notify_cq);
SAME_FIELD(ibv_context, ops.post_send);
SAME_FIELD(ibv_context, ops.post_recv);
SAME_FIELD(ibv_context, async_fd);
SAME_FIELD(ibv_device, transport_type);
SAME_FIELD(ibv_device, name);
SAME_FIELD(ibv_send_wr, sg_list);
SAME_FIELD(ibv_send_wr, opcode);
SAME_FIELD(ibv_send_wr, send_flags);
SAME_FIELD(ibv_send_wr, imm_data);
SAME_SIZE(ibv_send_wr);
SAME_FIELD(ibv_recv_wr, num_sge);
SAME_SIZE(ibv_recv_wr);
SAME_SIZE(ibv_sge);
SAME_FIELD(ibv_wc, status);
SAME_FIELD(ibv_wc, byte_len);
SAME_FIELD(ibv_wc, imm_data);
SAME_FIELD(ibv_wc, wc_flags);
SAME_SIZE(ibv_wc);
SAME_FIELD(ibv_qp_attr, dest_qp_num);
SAME_FIELD(ibv_qp_attr, cap);
SAME_FIELD(ibv_qp_attr, ah_attr);
SAME_FIELD(ibv_qp_attr, port_num);
SAME_SIZE(ibv_qp_attr);
SAME_FIELD(ibv_ah_attr, is_global);
SAME_FIELD(ibv_ah_attr, port_num);
SAME_FIELD(ibv_qp_init_attr, cap);
SAME_FIELD(ibv_qp_init_attr, qp_type);
SAME_SIZE(ibv_qp_init_attr);
SAME_FIELD(ibv_port_attr, gid_tbl_len);
SAME_SIZE(ibv_port_attr);
SAME_FIELD(ibv_device_attr, max_qp);
SAME_FIELD(ibv_device_attr, max_mr);
SAME_SIZE(ibv_device_attr);
SAME_FIELD(ibv_qp, qp_num);
SAME_FIELD(ibv_cq, context);
SAME_FIELD(ibv_mr, lkey);
SAME_FIELD(ibv_comp_channel, fd);
static_assert(abi::IBV_QPS_ERR == static_cast<int>(::IBV_QPS_ERR) && abi::IBV_QPT_UC == static_cast<int>(::IBV_QPT_UC));
static_assert(abi::IBV_WR_SEND == static_cast<int>(::IBV_WR_SEND));
static_assert(abi::IBV_WR_SEND_WITH_IMM == static_cast<int>(::IBV_WR_SEND_WITH_IMM));
static_assert(abi::IBV_QP_DEST_QPN == static_cast<int>(::IBV_QP_DEST_QPN));
#endif

namespace espalier::test {
namespace {

using namespace transport::verbs;
using transport::DataType;
using transport::Header;
using transport::Message;
using transport::Operation;

TEST("each documented failure of verbs has its reason and a remedy") {
  struct Row {
    Step step;
    int error;
    const char* code;
  };
  const Row rows[] = {
      {Step::Library, 0, "LibraryMissing"},
      {Step::Devices, ENODEV, "NoDevice"},
      {Step::Devices, ENOENT, "DeviceUnknown"},
      {Step::Devices, EEXIST, "DeviceAmbiguous"},
      {Step::Port, ENETDOWN, "PortDown"},
      {Step::Gid, EADDRNOTAVAIL, "NoIpv4Gid"},
      {Step::Gid, EAFNOSUPPORT, "NoCommonGid"},
      {Step::Domain, 0, "NoProtectionDomain"},
      {Step::Memory, 0, "MemoryRegionLimit"},
      {Step::Memory, ENOMEM, "MemoryRegionLimit"},
      {Step::Memory, EAGAIN, "MemoryLocked"},
      {Step::QueuePair, EBUSY, "QueuePairLimit"},
      {Step::QueuePair, 102, "QueuePairKind"},
      {Step::ReadyToReceive, EINVAL, "GidRefused"},
      {Step::ReadyToReceive, 60, "GidUnreachable"},
      {Step::ReadyToReceive, EBUSY, "StaleResources"},
      {Step::ReadyToReceive, 96, "NoAddress"},
      {Step::ReadyToReceive, EFAULT, "DriverExhausted"},
      {Step::PostReceive, ENOMEM, "ReceiveQueueFull"},
      {Step::PostSend, ENOMEM, "SendQueueFull"},
      {Step::Completion, 1, "FrameTooLong"},
      {Step::Completion, 5, "Flushed"},
      {Step::Completion, 12, "CompletionFailed"},
      {Step::Probe, 0, "NoFrames"},
  };
  for (const Row& row : rows) {
    const Reason reason = reasonFor(row.step, row.error);
    CHECK_EQ(std::string(reason.code), std::string(row.code));
    CHECK(std::strlen(reason.remedy) > 5);
    const std::string text = explain(row.step, row.error, "rdma_en3", "as it said");
    CHECK(text.find(std::string("verbs ") + row.code + " on rdma_en3: ") == 0);
    CHECK(text.find("as it said; ") != std::string::npos);
  }
  CHECK(reasonFor(Step::QueuePair, EBUSY).lasting);
  CHECK(!reasonFor(Step::ReadyToReceive, 60).lasting);
}

Gid mapped(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d};
}

TEST("the GID is the IPv4 one of the port's own interface, wherever it stands") {
  const Gid linkLocal = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfe, 0, 0, 1};
  const Gid domain = {0x12, 0x34, 0x56};  // what macOS 27 is said to put first
  const std::vector<InterfaceAddress> addresses = {{"en3", {169, 254, 7, 9}}, {"en0", {10, 0, 0, 5}}};
  GidChoice choice = chooseGids({{0, linkLocal, "", true}, {1, mapped(169, 254, 7, 9), "", true}}, "en3", addresses);
  CHECK_EQ(choice.ipv4Index, 1);
  CHECK_EQ(choice.linkLocalIndex, 0);
  choice = chooseGids({{0, domain, "", true}, {1, linkLocal, "", true}, {2, mapped(169, 254, 7, 9), "", true}}, "en3",
                      addresses);
  CHECK_EQ(choice.ipv4Index, 2);
  CHECK_EQ(choice.linkLocalIndex, 1);
  // Another interface's address, or one that has been taken away.
  choice = chooseGids({{0, mapped(10, 0, 0, 5), "", true}, {1, mapped(169, 254, 1, 1), "", true}}, "en3", addresses);
  CHECK_EQ(choice.ipv4Index, -1);
  // Linux: the system names the interface of each, and lists RoCE v1 first.
  choice = chooseGids({{0, mapped(10, 0, 0, 5), "eth1", false}, {1, mapped(10, 0, 0, 5), "eth1", true}}, "", addresses);
  CHECK_EQ(choice.ipv4Index, 1);
  CHECK_EQ(textOf(choice.ipv4), std::string("::ffff:10.0.0.5"));
}

TEST("a tag survives its 32 bits, and counts wrap") {
  const Tag tag = Tag::unpack(Tag{4'095, 4'096 + 7, Tag::First | Tag::Headed}.pack());
  CHECK_EQ(tag.sequence, 4'095u);
  CHECK_EQ(tag.freed, 7u);
  CHECK_EQ(int{tag.flags}, Tag::First | Tag::Headed);
  CHECK_EQ(stepsBetween(4'090, 6), 12u);
}

Header headerOf(uint32_t sequence, uint32_t bytes) {
  Header header;
  header.operation = Operation::AllReduce;
  header.type = DataType::BFloat16;
  header.sequence = sequence;
  header.callBytes = header.pieceBytes = bytes;
  return header;
}

TEST("the headers of a decode step need not travel once it has been seen") {
  Predictor sender, receiver;
  int wrong = 0;
  uint32_t sequence = 0;
  for (int token = 0; token < 20; ++token) {
    for (int call = 0; call < 162; ++call) {
      const Header header = headerOf(sequence++, call < 160 ? 16'384 : call == 160 ? 128 : 8);
      CHECK(sender.guess() == receiver.guess());
      const bool right = sender.guess() == header;
      wrong += right ? 0 : 1;
      sender.learn(header);
      right ? receiver.confirm() : receiver.learn(header);
    }
  }
  CHECK(wrong < 60);  // of 3,240: where the step's calls change
}

TEST("a call that repeats is guessed whatever its number goes up by") {
  Predictor predictor;
  uint32_t sequence = 0;
  for (const uint32_t step : {1u, 3u, 1u, 2u}) {
    int wrong = 0;
    for (int call = 0; call < 20; ++call) {
      const Header header = headerOf(sequence += step, 4'096);
      wrong += predictor.guess() == header ? 0 : 1;
      predictor.learn(header);
    }
    CHECK(wrong <= 2);  // the call itself, and what it goes up by
  }
}

/// Cuts messages into frames as the sender does.
std::vector<std::vector<std::byte>> framesOf(const Header& header, const std::vector<std::byte>& payload, uint32_t most) {
  std::vector<std::byte> stream(sizeof header + payload.size());
  std::memcpy(stream.data(), &header, sizeof header);
  std::copy(payload.begin(), payload.end(), stream.begin() + sizeof header);
  std::vector<std::vector<std::byte>> frames;
  for (size_t at = 0; at < stream.size(); at += most) {
    const size_t bytes = std::min<size_t>(most, stream.size() - at);
    frames.emplace_back(stream.begin() + at, stream.begin() + at + bytes);
    frames.back().resize(paddedFrame(static_cast<uint32_t>(bytes)));
  }
  return frames;
}

Inbox::Frame frameOf(const std::vector<std::byte>& data, bool first) {
  const uint8_t flags = first ? Tag::First | Tag::Headed : 0;
  return {{0, 0, flags}, data.data(), static_cast<uint32_t>(data.size())};
}

TEST("frames become messages, in place when they are aimed or alone, and wait when there is no room") {
  for (const uint32_t most : {4'096u, 4'080u}) {
    Inbox inbox(most);
    std::vector<std::byte> target(20'000);
    for (uint32_t number = 0; number < 9; ++number) {
      std::vector<std::byte> payload(number * 2'222);
      for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i * 7 + number);
      const Header header = headerOf(number, static_cast<uint32_t>(payload.size()));
      const bool aimed = number % 2 == 1;
      if (aimed) inbox.aim(target.data(), payload.size());
      const auto frames = framesOf(header, payload, most);
      for (size_t i = 0; i < frames.size(); ++i) {
        CHECK(!inbox.ready());
        const bool kept = !aimed && frames.size() == 1;
        CHECK(inbox.take(frameOf(frames[i], i == 0)) == (kept ? Inbox::Result::Kept : Inbox::Result::Taken));
      }
      CHECK(inbox.ready());
      const Message message = inbox.front();
      CHECK(message.header == header);
      CHECK_EQ(message.payload == target.data(), aimed);
      CHECK(payload.empty() || std::memcmp(message.payload, payload.data(), payload.size()) == 0);
      CHECK(inbox.release() == (!aimed && frames.size() == 1 ? frames[0].data() : nullptr));
    }
    const std::vector<std::byte> small(8);
    const auto frames = framesOf(headerOf(0, 8), small, most);
    int held = 0;
    while (inbox.take(frameOf(frames[0], true)) == Inbox::Result::Kept) ++held;
    CHECK_EQ(held, static_cast<int>(Inbox::kStages));
    CHECK(inbox.take(frameOf(frames[0], true)) == Inbox::Result::Full);
    inbox.release();
    CHECK(inbox.take(frameOf(frames[0], true)) == Inbox::Result::Kept);
  }
}

TEST("frames that cannot be next are refused") {
  const std::vector<std::byte> payload(10'000);
  const auto frames = framesOf(headerOf(0, 10'000), payload, 4'096);
  const auto refuses = [](Inbox& inbox, const Inbox::Frame& frame) { return inbox.take(frame) == Inbox::Result::Wrong; };
  Inbox stray(4'096), doubled(4'096), cut(4'096), monstrous(4'096), brief(4'096);
  CHECK(refuses(stray, frameOf(frames[1], false)));
  CHECK(doubled.take(frameOf(frames[0], true)) == Inbox::Result::Taken);
  CHECK(refuses(doubled, frameOf(frames[0], true)));
  Inbox::Frame shorter = frameOf(frames[0], true);
  shorter.bytes -= 8;
  CHECK(refuses(cut, shorter));
  const std::vector<std::byte> one(64);
  CHECK(refuses(monstrous, frameOf(framesOf(headerOf(0, 1u << 30), one, 4'096)[0], true)));
  shorter.bytes = 16;
  CHECK(refuses(brief, shorter));
  CHECK(!brief.why().empty());
}

TEST("an inbox takes any bytes without harm") {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(4'096);
  for (int round = 0; round < 3'000; ++round) {
    Inbox inbox(4'096);
    for (int i = 0; i < 6; ++i) {
      for (size_t at = 0; at < 64; ++at) bytes[at] = static_cast<std::byte>(random());
      const Tag tag = Tag::unpack(random());
      inbox.take({tag, bytes.data(), static_cast<uint32_t>(random() % 4'097)});
      if (inbox.ready() && random() % 2 == 0) inbox.release();
    }
  }
}

}  // namespace
}  // namespace espalier::test
