#pragma once
#include <string>
#include <vector>

#include "test/transport/ranks.h"

namespace espalier::test {

/// Hosts with a cable each to one switch, made of network namespaces; needs Linux, root and ip. Every host has an
/// address on two planes, one for the side channel and one for data, so that each can be cut alone.
class Network {
 public:
  enum class Plane { Side, Data, Both };

  /// Whether this machine can have one; says so if not.
  static bool possible();
  explicit Network(int hosts);
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// Moves the calling process, which has one thread, to `host`.
  void enter(int host) const;
  std::string address(int host, Plane plane) const;
  /// From now on what `from` sends to `to` vanishes, without an error anywhere.
  void cut(int from, int to, Plane plane) const;
  void unplug(int host) const;
  void plugIn(int host) const;

 private:
  std::string name(int host) const;
  std::string prefix_;
  int hosts_;
};

}  // namespace espalier::test
