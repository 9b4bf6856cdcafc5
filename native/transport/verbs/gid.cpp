#include "transport/verbs/gid.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace espalier::transport::verbs {

bool isIpv4Mapped(const Gid& gid) {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(gid.data(), kPrefix, sizeof kPrefix) == 0;
}

bool isLinkLocal(const Gid& gid) { return gid[0] == 0xfe && (gid[1] & 0xc0) == 0x80; }

std::string textOf(const Gid& gid) {
  char text[INET6_ADDRSTRLEN] = {};
  return inet_ntop(AF_INET6, gid.data(), text, sizeof text) != nullptr ? text : "";
}

GidChoice chooseGids(const std::vector<GidEntry>& table, const std::string& interface,
                     const std::vector<InterfaceAddress>& addresses) {
  const auto belongs = [&](const GidEntry& entry) {
    if (!entry.interface.empty() && !interface.empty()) return entry.interface == interface;
    return std::any_of(addresses.begin(), addresses.end(), [&](const InterfaceAddress& address) {
      const bool here = interface.empty() || address.interface == interface;
      return here && std::memcmp(address.ipv4.data(), entry.gid.data() + 12, 4) == 0;
    });
  };
  GidChoice choice;
  for (const GidEntry& entry : table) {
    if (!entry.routable) continue;
    if (choice.ipv4Index < 0 && isIpv4Mapped(entry.gid) && belongs(entry)) {
      choice.ipv4Index = entry.index;
      choice.ipv4 = entry.gid;
    }
    if (choice.linkLocalIndex < 0 && isLinkLocal(entry.gid)) {
      choice.linkLocalIndex = entry.index;
      choice.linkLocal = entry.gid;
    }
  }
  return choice;
}

std::vector<InterfaceAddress> interfaceAddresses() {
  std::vector<InterfaceAddress> all;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return all;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    InterfaceAddress address{one->ifa_name, {}};
    const auto* inet = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    std::memcpy(address.ipv4.data(), &inet->sin_addr, 4);
    all.push_back(std::move(address));
  }
  freeifaddrs(list);
  return all;
}

}  // namespace espalier::transport::verbs
