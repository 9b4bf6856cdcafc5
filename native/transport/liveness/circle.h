#pragma once
#include <span>
#include <vector>

#include "transport/liveness/flows.h"

namespace espalier::transport {

/// Ranks of one group of which each waits to receive from the next, and the last from the first, while none has begun
/// the send that is waited for: none ever goes on, since a rank is in one call of a group at a time. Empty if there are
/// none.
///
/// `reports`: of each rank, all of one beat of its own. They may be of different times and tell of waits that are over:
/// a wait in such a circle cannot be. It would have ended with a send that the next rank had not begun when it reported,
/// and began only once its own wait, which it reported, was over; so of any wait that ended the next one's ended before,
/// all round.
std::vector<int> circleOfReceives(std::span<const FlowReport> reports);

}  // namespace espalier::transport
