#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace espalier::transport::verbs {

using Gid = std::array<uint8_t, 16>;

/// One row of a port's GID table.
struct GidEntry {
  int index = 0;
  Gid gid{};
  std::string interface;   ///< network interface that it belongs to, "" when the system does not say
  bool routable = true;    ///< false: RoCE v1, which has no IP header
};

/// Addresses that a port can be reached by; index -1: it has none of that kind.
struct GidChoice {
  int ipv4Index = -1;
  Gid ipv4{};
  int linkLocalIndex = -1;
  Gid linkLocal{};
};

/// An address of this host.
struct InterfaceAddress {
  std::string interface;
  std::array<uint8_t, 4> ipv4{};
};

bool isIpv4Mapped(const Gid& gid);
bool isLinkLocal(const Gid& gid);
std::string textOf(const Gid& gid);

/// Chooses by rule, wherever in the table it is (index 1 on most Macs, 2 on some): the IPv4-mapped GID whose address
/// belongs to the port's own interface, and the link-local one. `interface` is the port's, "" when unknown: then any
/// address of this host will do.
GidChoice chooseGids(const std::vector<GidEntry>& table, const std::string& interface,
                     const std::vector<InterfaceAddress>& addresses);

/// This host's IPv4 addresses.
std::vector<InterfaceAddress> interfaceAddresses();

}  // namespace espalier::transport::verbs
