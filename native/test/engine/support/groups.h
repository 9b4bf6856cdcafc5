#pragma once
#include <memory>
#include <vector>

#include "transport/group.h"

namespace espalier::test {

/// The ranks of a real transport group over loopback and shared memory, one for each of `size` threads of this
/// process.
std::vector<std::unique_ptr<transport::Group>> makeGroups(int size);

}  // namespace espalier::test
