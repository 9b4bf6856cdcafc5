#pragma once
#include <memory>
#include <vector>

#include "transport/group.h"

namespace espalier::test {

/// Groups for `size` threads of this process: all-reduce in the order that transport::Group promises, all-gather, barrier.
std::vector<std::unique_ptr<transport::Group>> makeTreeGroups(int size);

}  // namespace espalier::test
