#pragma once
#include "transport/shm/host_team.h"

namespace espalier::transport {

/// The course of a long call, once all have announced it: each member stages what others need of chunk c, consumes
/// what they staged of it, and collects what they made of it. A rank waits only for what its peers did one step ago.
///
/// Steps on a member's progress word: staged c is 2c + 1, consumed c is 2c + 4, in the order staged 1, consumed 0,
/// staged 2, consumed 1, ... (staged 0 is the announcement).
///
/// Three chunks in the ring at a time are enough: staging c + 1 overwrites at the earliest what was consumed at c - 2,
/// which all have said they did before this rank collected c - 2; consuming c overwrites at the earliest a result
/// collected at c - 3, which was done before c was staged.
template <class Stage, class Consume, class Collect>
bool HostTeam::pipeline(uint32_t chunks, Stage stage, Consume consume, Collect collect) {
  for (uint32_t c = 0; c <= chunks; ++c) {
    if (c + 1 < chunks) {
      stage(c + 1);
      publishStep(2 * c + 3);
    }
    if (c < chunks) {
      if (c > 0 && !awaitStep(2 * c + 1)) return false;
      consume(c);
      publishStep(2 * c + 4);
    }
    if (c > 0) {
      if (!awaitStep(2 * c + 2)) return false;
      collect(c - 1);
    }
  }
  endCall(2 * chunks + 4);
  return true;
}

}  // namespace espalier::transport
