#pragma once
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "test/transport/ranks.h"
#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

/// Those who come to a rendezvous and do not belong there.
namespace espalier::test {

/// What a group told its operator.
class Notebook {
 public:
  void attachTo(GroupOptions& options);
  std::vector<std::string> lines() const;
  /// Lines that hold `part`.
  int count(const std::string& part) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// Connects to the rendezvous.
transport::Socket knock(Board* board);
/// Sends all of `bytes`.
void say(const transport::Socket& socket, transport::ByteView bytes);

/// A group of two forms although `intrude` goes on before the right rank 1 comes. What its rank 0 tells the operator
/// meanwhile is checked for what no notice may hold, and left in `notebook`.
void formDespite(const std::function<void(Board*)>& intrude, Notebook& notebook);
void formDespite(const std::function<void(Board*)>& intrude);

}  // namespace espalier::test
