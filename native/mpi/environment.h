#pragma once
#include <string>

#include "transport/group.h"

namespace espalier::mpi {

/// What the environment says about this rank (docs/mlx.md lists the variables).
struct Environment {
  bool configured = false;  ///< false: no variable of ours or of a launcher is there
  transport::GroupOptions group;
  std::string meetingFile;  ///< not empty: the ranks are on one host and meet through this file
  bool wantsStats = false;
};

/// Fails with InvalidArgument that names the variable, what it holds and what it must hold. Never shows a secret.
Status readEnvironment(Environment& environment);

/// For the user who set nothing: what to set.
std::string environmentHelp();

}  // namespace espalier::mpi
