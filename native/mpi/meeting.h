#pragma once
#include <memory>
#include <string>

#include "transport/group.h"

namespace espalier::mpi {

/// Forms a group of ranks of one user on one host: rank 0 writes the port it listens on and a secret of its own
/// making into `path` (mode 600), the others wait for that file; it is removed once all have met. The file of a rank 0
/// that no longer lives is passed over. `options` needs neither secret nor address.
std::unique_ptr<transport::Group> meetThroughFile(const std::string& path, transport::GroupOptions options,
                                                  Status& status);

}  // namespace espalier::mpi
