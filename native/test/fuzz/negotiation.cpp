// What the other end may say when a pair settles on a link: it has proved the secret, and then sends an offer or an
// answer that is anything. Building the links ends either way, in time.
#include <thread>

#include "test/fuzz/fuzz.h"
#include "transport/connect.h"
#include "transport/relay/family.h"

using namespace espalier;
using namespace espalier::transport;

namespace {

constexpr const char* kSecret = "a secret";

Hello helloOf(int rank) {
  Hello hello;
  hello.purpose = Purpose::Data;
  hello.rank = rank;
  hello.size = 2;
  return hello;
}

void speak(int fd, ByteView input) {
  fuzz::Script script(input);
  Frame frame;
  while (script.next(frame)) sendFrame(fd, frame.type, frame.payload);
  shutdown(fd, SHUT_WR);
}

/// Plays rank 1, which dials.
void dial(uint16_t port, ByteView input) {
  Socket socket;
  FrameReader reader;
  if (!dialOnce("127.0.0.1", port, deadlineAfterMs(1'000), -1, socket).ok()) return;
  if (introduce({socket.fd(), reader, deadlineAfterMs(1'000), -1}, kSecret, helloOf(1)).ok()) speak(socket.fd(), input);
}

/// Plays rank 0, which is dialled.
void answer(Socket listener, ByteView input) {
  Notices notices;
  bool come = false;
  Acceptor acceptor(
      std::move(listener), kSecret, "data port", notices, [](const Hello&) { return Status::success(); },
      [&](Arrival arrival) {
        come = true;
        speak(arrival.socket.fd(), input);
      });
  for (const Deadline deadline = deadlineAfterMs(1'000); !come && Clock::now() < deadline;) acceptor.step(10, -1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const int rank = data[0] % 2;  // ours
  const ByteView input(data + 1, size - 1);
  const Deadline soon = deadlineAfterMs(1'000);
  DataPort own, other;
  fuzz::require(openDataPort("127.0.0.1", soon, own).ok() && openDataPort("127.0.0.1", soon, other).ok(), "a port");
  std::vector<Member> members(2);
  for (Member& member : members) {
    member.hostId = "here";
    member.linkMask = maskOf({LinkKind::Tcp, LinkKind::SharedMemory});
    member.dataHost = "127.0.0.1";
  }
  members[rank].dataPort = own.port;
  members[1 - rank].dataPort = other.port;
  Liveness liveness(rank, 2, 1'000, {});
  const auto notices = std::make_shared<Notices>();
  const auto family = std::make_shared<const Family>(
      Family{rank, members, kSecret, 0, WireGraph({~uint64_t{0}, ~uint64_t{0}}), notices});
  Wiring wiring;
  wiring.rank = rank;
  wiring.members = members;
  wiring.secret = kSecret;
  wiring.notices = notices;
  wiring.family = family;
  wiring.familyRanks = {0, 1};
  const uint16_t port = own.port;
  std::thread peer([&] { rank == 0 ? dial(port, input) : answer(std::move(other.listener), input); });
  std::vector<std::unique_ptr<Link>> links;
  const Status status = connectAll(wiring, std::move(own), liveness, deadlineAfterMs(2'000), links);
  peer.join();
  fuzz::require(status.code != "RendezvousTimeout", "a peer that talks nonsense is noticed at once");
  return 0;
}
