#include "test/transport/network.h"

#include <fcntl.h>
#include <unistd.h>

#ifdef __linux__
#include <sched.h>
#endif

#include <atomic>
#include <cstdlib>

namespace espalier::test {
namespace {

void ip(const std::string& arguments) {
  const std::string command = "ip " + arguments;
  if (std::system(command.c_str()) != 0) throw CheckFailure("failed: " + command);
}

std::atomic<int> networks{0};

}  // namespace

bool Network::possible() {
  if (geteuid() == 0 && std::system("ip netns add espalier-probe 2>/dev/null && ip netns del espalier-probe") == 0) {
    return true;
  }
  std::printf("     NOT RUN: network namespaces need Linux, root and ip\n");
  if (std::getenv("CI") != nullptr) throw CheckFailure("CI must be able to run this");
  return false;
}

Network::Network(int hosts) : prefix_("esp" + std::to_string(getpid()) + "n" + std::to_string(networks++)), hosts_(hosts) {
  const std::string hub = prefix_ + "s";
  ip("netns add " + hub);
  ip("-n " + hub + " link add hub type bridge");
  ip("-n " + hub + " link set hub up");
  for (int host = 0; host < hosts; ++host) {
    const std::string port = "port" + std::to_string(host);
    ip("netns add " + name(host));
    ip("link add " + port + " netns " + hub + " type veth peer name cable netns " + name(host));
    ip("-n " + hub + " link set " + port + " master hub up");
    ip("-n " + name(host) + " link set lo up");
    for (const Plane plane : {Plane::Side, Plane::Data}) {
      ip("-n " + name(host) + " addr add " + address(host, plane) + "/24 dev cable");
    }
    plugIn(host);
  }
}

Network::~Network() {
  const auto remove = [](const std::string& one) {
    return std::system(("ip netns del " + one + " 2>/dev/null").c_str());
  };
  for (int host = 0; host < hosts_; ++host) remove(name(host));
  remove(prefix_ + "s");
}

std::string Network::name(int host) const { return prefix_ + "h" + std::to_string(host); }

void Network::enter(int host) const {
#ifdef __linux__
  const int fd = open(("/run/netns/" + name(host)).c_str(), O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK(setns(fd, CLONE_NEWNET) == 0);
  close(fd);
#endif
}

std::string Network::address(int host, Plane plane) const {
  return std::string(plane == Plane::Data ? "10.78.2." : "10.78.1.") + std::to_string(host + 1);
}

void Network::cut(int from, int to, Plane plane) const {
  for (const Plane one : {Plane::Side, Plane::Data}) {
    if (plane != one && plane != Plane::Both) continue;
    // No host has this hardware address, so the switch drops the frame.
    ip("-n " + name(from) + " neigh replace " + address(to, one) + " lladdr 02:00:00:00:00:99 dev cable");
  }
}

void Network::unplug(int host) const { ip("-n " + prefix_ + "s link set port" + std::to_string(host) + " down"); }
void Network::plugIn(int host) const {
  ip("-n " + prefix_ + "s link set port" + std::to_string(host) + " up");
  ip("-n " + name(host) + " link set cable up");
}

}  // namespace espalier::test
