// The floor of RDMA verbs is not ours: ib_send_lat of the package perftest, over the same kind of queue pair.
// Each of its two processes is started by a rank that is pinned as ours are.
#include "bench/perf/perftest.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace espalier::perf {
namespace {

constexpr double kListenUs = 20e6;
constexpr int kMessages = 500;

/// A port that is free just now. 0: none.
int freePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t length = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  const bool bound = socket >= 0 && bind(socket, plain, length) == 0 && getsockname(socket, plain, &length) == 0;
  if (socket >= 0) close(socket);
  return bound ? ntohs(address.sin_port) : 0;
}

/// Without connecting: the server takes the first connection for its client.
bool isListening(int port) {
  char wanted[16];
  std::snprintf(wanted, sizeof wanted, ":%04X", port);
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      std::istringstream words(line);
      std::string number, local, remote, state;
      words >> number >> local >> remote >> state;
      if (local.ends_with(wanted) && state == "0A") return true;
    }
  }
  return false;
}

/// The first GID that maps an IPv4 address, as the transport chooses. -1: none.
int mappedGid(const std::string& device) {
  for (int index = 0; index < 64; ++index) {
    std::ifstream file("/sys/class/infiniband/" + device + "/ports/1/gids/" + std::to_string(index));
    std::string gid;
    if (std::getline(file, gid) && gid.starts_with("0000:0000:0000:0000:0000:ffff:")) return index;
  }
  return -1;
}

std::string outputOf(const std::string& command, int& status) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string text;
  for (char part[1024]; std::fgets(part, sizeof part, pipe) != nullptr;) text += part;
  status = pclose(pipe);
  return text;
}

/// The columns #bytes #iterations t_min t_max t_typical t_avg t_stdev 99% of the only line that begins with a number.
bool parse(const std::string& text, Reply& reply) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    double bytes = 0, units = 0, maxUs = 0, deviationUs = 0;
    if (words >> bytes >> units >> reply.minUs >> maxUs >> reply.medianUs >> reply.meanUs >> deviationUs >>
        reply.p99Us) {
      reply.units = static_cast<uint32_t>(units);
      return true;
    }
  }
  return false;
}

}  // namespace

std::string runPerftest(const Seat& seat, const std::vector<std::string>& devices, const Cell& cell, Reply& reply) {
  if (devices.size() < 2) return "ib_send_lat needs the device of each rank: --verbs-devices A,B";
  const std::string& device = devices[static_cast<size_t>(seat.rank)];
  const int gid = mappedGid(device);
  if (gid < 0) return "the device " + device + " has no GID that maps an IPv4 address";
  Board::Crew& crew = seat.board->crews[seat.crew];
  if (seat.rank == 0) crew.rendezvousPort = freePort();
  for (const double untilUs = nowUs() + kListenUs; seat.rank == 1;) {
    const int port = crew.rendezvousPort;
    if (port != 0 && isListening(port)) break;
    if (crew.stop != 0 || nowUs() > untilUs) return "ib_send_lat of rank 0 did not listen";
    usleep(10'000);
  }
  std::ostringstream command;
  command << "timeout 50 ib_send_lat -c UC -F -d " << device << " -x " << gid << " -s " << cell.bytes << " -n "
          << kMessages << " -p " << crew.rendezvousPort << (seat.rank == 1 ? " 127.0.0.1" : "") << " 2>&1";
  int status = 0;
  const std::string text = outputOf(command.str(), status);
  if (seat.rank == 1) crew.rendezvousPort = 0;  // the next run has a port of its own
  return status == 0 && parse(text, reply) ? "" : "ib_send_lat failed: " + text;
}

}  // namespace espalier::perf
