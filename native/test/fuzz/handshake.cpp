// What a dialer that does not know the secret may say in a handshake, frame by frame. It must never be admitted.
#include "test/fuzz/fuzz.h"
#include "transport/rendezvous/handshake.h"

using namespace espalier;
using namespace espalier::transport;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::SocketPair pair;
  Examination examination;
  fuzz::Script script({data, size});
  Frame frame;
  while (script.next(frame)) {
    const auto outcome = examination.consume(pair.near.fd(), frame, "a secret");
    pair.drain();
    fuzz::require(outcome != Examination::Outcome::Proved, "nobody is admitted without the secret");
    fuzz::require(examination.verdict().message.find("a secret") == std::string::npos, "the secret is not told");
    if (outcome == Examination::Outcome::Refused) break;
  }
  return 0;
}
