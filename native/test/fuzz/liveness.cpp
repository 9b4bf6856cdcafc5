// What two members may send to rank 0 on the side channel once they are in. However they misbehave, the watch ends,
// and names one of the three ranks or none.
#include <poll.h>

#include "test/fuzz/fuzz.h"
#include "transport/liveness/liveness.h"

using namespace espalier;
using namespace espalier::transport;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::SocketPair pairs[2];
  std::vector<ControlConnection> control;
  for (int i = 0; i < 2; ++i) control.push_back({i + 1, std::move(pairs[i].near), {}});
  const auto flows = std::make_shared<Flows>(0, std::vector<int>{0, 1, 2});
  Liveness liveness(0, 3, 500, std::move(control));
  liveness.follow(flows);
  fuzz::Script script({data, size});
  Frame frame;
  for (int turn = 0; script.next(frame); ++turn) sendFrame(pairs[turn % 2].far.fd(), frame.type, frame.payload);
  // Neither says goodbye, unless the fuzzer did for it: then there is nobody left to watch.
  for (fuzz::SocketPair& pair : pairs) shutdown(pair.far.fd(), SHUT_WR);
  for (int patience = 0; patience < 100 && !liveness.dead(); ++patience) {
    pollfd woken{liveness.wakeFd(), POLLIN, 0};
    poll(&woken, 1, 1);
  }
  if (liveness.dead()) fuzz::require(!liveness.cause().ok(), "a dead group has a cause");
  flows->lost(1, 0, Clock::now(), std::chrono::milliseconds(1));
  return 0;
}
