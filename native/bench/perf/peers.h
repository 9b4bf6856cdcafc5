#pragma once
#include <string>
#include <vector>

#include "bench/perf/crew.h"

namespace espalier::perf {

/// Contenders of the library `peer` ("openmpi" or "ucx") on `link`, one per variant of its settings. Empty, with the
/// reason in `why`, when it cannot take part.
std::vector<CrewSpec> peerSpecs(const std::string& peer, LinkKind link, int ranks, std::string& why);

}  // namespace espalier::perf
