// The bytes of a TCP link's connections, one or two: whatever comes, a message lies whole within what the link holds, or
// the link says that it is broken.
#include "test/fuzz/fuzz.h"
#include "transport/tcp/tcp_link.h"

using namespace espalier;
using namespace espalier::transport;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  fuzz::SocketPair pairs[2];
  const size_t count = 1 + data[0] % 2;
  const size_t early = std::min(data[0] * size_t{16}, size - 2);
  std::vector<TcpSocket> sockets;
  for (size_t i = 0; i < count; ++i) sockets.push_back({std::move(pairs[i].near), {}});
  sockets[0].early.assign(data + 2, data + 2 + early);
  const auto link = makeTcpLink(std::move(sockets));
  const size_t chunk = 1 + data[1] * size_t{32};
  size_t turn = 0;
  for (size_t at = 2 + early;; at += chunk) {
    if (at < size) sendSome(pairs[turn++ % count].far.fd(), data + at, std::min(chunk, size - at));
    Message message;
    while (link->tryReceive(message) == LinkResult::Done) {
      fuzz::require(message.header.pieceBytes <= link->maxPayloadBytes(), "no message is longer than the link carries");
      uint64_t sum = 0;
      for (uint32_t i = 0; i < message.header.pieceBytes; ++i) sum += static_cast<uint64_t>(message.payload[i]);
      fuzz::require(sum <= uint64_t{255} * message.header.pieceBytes, "every byte can be read");
      link->release();
    }
    if (at >= size) return 0;
  }
}
