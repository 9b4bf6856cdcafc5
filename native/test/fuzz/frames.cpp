// The bytes of a side connection as a stranger may send them, in pieces of any size, through FrameReader and into every
// reader of payloads.
#include "test/fuzz/fuzz.h"
#include "transport/liveness/flows.h"
#include "transport/rendezvous/handshake.h"

using namespace espalier;
using namespace espalier::transport;

namespace {

void readAll(const Frame& frame) {
  ByteReader status(frame.payload), roster(frame.payload);
  const Status read = readStatus(status);
  fuzz::require(read.message.size() <= frame.payload.size(), "a text is no longer than what carried it");
  for (int rank = 0; rank < 64 && roster.ok(); ++rank) Member::read(roster);
  const auto reports = readReports(frame.payload);
  fuzz::require(reports.size() * 42 <= frame.payload.size(), "no report comes from nowhere");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  fuzz::SocketPair pair;
  FrameReader reader;
  const size_t limit = data[0] % 2 == 0 ? kMaxFrameBytes : kMaxStrangerFrameBytes;
  reader.limitTo(limit);
  const size_t chunk = 1 + data[1] * size_t{16};
  Frame frame;
  frame.payload.assign(data + 2, data + size);
  readAll(frame);  // without a frame around it, too: the fuzzer need not find a checksum to get there
  for (size_t at = 2; at < size; at += chunk) {
    sendSome(pair.far.fd(), data + at, std::min(chunk, size - at));
    FrameResult result;
    while ((result = reader.read(pair.near.fd(), frame)) == FrameResult::Frame) {
      fuzz::require(frame.payload.size() <= limit, "a frame is no longer than its limit");
      readAll(frame);
    }
    if (result == FrameResult::Garbage) return 0;
  }
  return 0;
}
