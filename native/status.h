#pragma once
#include <string>
#include <utility>

namespace espalier {

/// Outcome of an operation that can fail. `code` is a stable word from docs/errors.md (empty: success);
/// `message` says what was expected, what came and what to do. Facts are fields: the guilty rank, the
/// kind of link it was reached over, the file that was read. Never thrown; passed by value.
struct Status {
  std::string code;
  std::string message;
  int rank = -1;     ///< guilty rank in the group that failed, -1 when no rank is to blame
  std::string link;  ///< "tcp", "shm", "verbs" or "" when no link is to blame
  std::string file;  ///< path of the file that is wrong, "" when no file is to blame

  bool ok() const { return code.empty(); }
  /// Not {}: that sets every byte to zero before it makes the strings, in the way of each call.
  static Status success() {
    Status status;
    return status;
  }
  static Status failure(std::string code, std::string message) {
    Status status;
    status.code = std::move(code);
    status.message = std::move(message);
    return status;
  }
};

}  // namespace espalier
