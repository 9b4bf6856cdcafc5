#include <vector>

#include "test/check.h"
#include "transport/liveness/circle.h"

namespace espalier::test {
namespace {

using transport::circleOfReceives;
using transport::FlowReport;

/// `from` has begun a send to `to`, and waits to receive from it or not: the first send after those that `to` has begun.
FlowReport report(int from, int to, bool waits, uint32_t begun = 1, uint64_t group = 0) {
  return {group, static_cast<uint8_t>(from), static_cast<uint8_t>(to), {}, waits ? 2u : 0u, begun};
}

using Circle = std::vector<int>;

TEST("ranks that each wait for the next one are a circle, in whatever order their reports come") {
  CHECK(circleOfReceives(std::vector{report(0, 1, true), report(1, 0, true)}) == Circle({0, 1}));
  CHECK(circleOfReceives(std::vector{report(2, 3, true), report(1, 3, false), report(1, 2, true), report(3, 2, false),
                                     report(3, 1, true), report(2, 1, false)}) == Circle({1, 2, 3}));
}

TEST("ranks that wait for one in a circle are no part of it") {
  CHECK(circleOfReceives(std::vector{report(0, 1, true), report(1, 0, false), report(1, 2, true), report(2, 1, true)}) ==
        Circle({1, 2}));
}

TEST("ranks that wait for one that does not wait are no circle") {
  CHECK(circleOfReceives(std::vector{report(0, 1, true), report(1, 0, false), report(1, 2, true), report(2, 1, false)})
            .empty());
  CHECK(circleOfReceives({}).empty());
}

TEST("a send that was begun is not waited for in vain") {
  CHECK(circleOfReceives(std::vector{report(0, 1, true), report(1, 0, true, 2)}).empty());
}

TEST("nothing is a circle without a word from the rank that is waited for") {
  CHECK(circleOfReceives(std::vector{report(0, 1, true)}).empty());
}

TEST("receives in two groups are no circle: each may have a thread of its own") {
  CHECK(circleOfReceives(std::vector{report(0, 1, true, 1, 7), report(1, 0, false, 1, 7), report(1, 0, true, 1, 8),
                                     report(0, 1, false, 1, 8)})
            .empty());
}

}  // namespace
}  // namespace espalier::test
