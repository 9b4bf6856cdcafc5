#include "mpi/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "mpi/host.h"
#include "mpi/launcher.h"
#include "mpi/variables.h"

namespace espalier::mpi {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Status invalid(const std::string& message) { return Status::failure("InvalidArgument", message); }

namespace {

using transport::LinkKind;

std::vector<std::string> parts(const std::string& text, char separator) {
  std::vector<std::string> all;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    if (end > begin) all.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return all;
}

Status readLinks(std::vector<LinkKind>& links) {
  const std::string text = variable("ESPALIER_LINKS");
  if (text.empty()) {
    links = {LinkKind::SharedMemory, LinkKind::Verbs, LinkKind::Tcp};
    return Status::success();
  }
  links.clear();
  for (const std::string& name : parts(text, ',')) {
    if (name == "shm") links.push_back(LinkKind::SharedMemory);
    else if (name == "verbs") links.push_back(LinkKind::Verbs);
    else if (name == "tcp") links.push_back(LinkKind::Tcp);
    else return invalid("ESPALIER_LINKS names \"" + name + "\"; it is a list of shm, verbs and tcp");
  }
  return Status::success();
}

Status readWires(transport::GroupOptions& group) {
  for (const std::string& cable : parts(variable("ESPALIER_VERBS_CABLES"), ',')) {
    const size_t equals = cable.find('=');
    transport::VerbsCable made;
    if (equals == std::string::npos || !parseNumber(std::string_view(cable).substr(0, equals), made.peer) ||
        equals + 1 == cable.size()) {
      return invalid("ESPALIER_VERBS_CABLES holds \"" + cable + "\"; it is a list of peer=device, as in 1=rdma_en2");
    }
    made.device = cable.substr(equals + 1);
    group.verbsCables.push_back(std::move(made));
  }
  for (const std::string& text : parts(variable("ESPALIER_DIRECT_PEERS"), ',')) {
    int peer = 0;
    if (!parseNumber(text, peer)) return invalid("ESPALIER_DIRECT_PEERS holds \"" + text + "\"; it is a list of ranks");
    group.directPeers.push_back(peer);
  }
  return Status::success();
}

Status readSecret(std::string& secret) {
  secret = variable("ESPALIER_SECRET");
  const std::string path = variable("ESPALIER_SECRET_FILE");
  if (path.empty()) {
    if (!secret.empty()) return Status::success();
    return invalid("neither ESPALIER_SECRET_FILE nor ESPALIER_SECRET is set; all ranks need the same secret");
  }
  bool missing = false;
  Status status = readPrivateFile(path, secret, missing);
  if (!status.ok()) status.message = "ESPALIER_SECRET_FILE: " + status.message;
  while (!secret.empty() && std::isspace(static_cast<unsigned char>(secret.back()))) secret.pop_back();
  if (status.ok() && secret.empty()) return invalid("ESPALIER_SECRET_FILE: " + path + " is empty");
  return status;
}

/// host:port, [IPv6]:port.
Status readMeetingPlace(const std::string& text, transport::GroupOptions& group) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 ||
      !parseNumber(std::string_view(text).substr(colon + 1), group.rendezvousPort) || group.rendezvousPort == 0) {
    return invalid("ESPALIER_RENDEZVOUS is \"" + text + "\", must be host:port of rank 0, or file:/path on one host");
  }
  group.rendezvousHost = text.substr(0, colon);
  if (group.rendezvousHost.size() > 2 && group.rendezvousHost.front() == '[' && group.rendezvousHost.back() == ']') {
    group.rendezvousHost = group.rendezvousHost.substr(1, group.rendezvousHost.size() - 2);
  }
  group.dataHost = variable("ESPALIER_DATA_HOST");
  std::string trouble;
  if (group.dataHost.empty()) {
    const auto deadline = transport::deadlineAfterMs(group.rendezvousTimeoutMs);
    group.dataHost = ownAddressTowards(group.rendezvousHost, group.rendezvousPort, deadline, trouble);
  }
  if (!trouble.empty()) return invalid("ESPALIER_RENDEZVOUS names " + group.rendezvousHost + ": " + trouble);
  if (group.dataHost.empty() || group.dataHost == "0.0.0.0" || group.dataHost == "::") {
    return invalid("no address of this machine leads to " + group.rendezvousHost +
                   "; set ESPALIER_DATA_HOST to the address that the other ranks reach it at");
  }
  return Status::success();
}

/// Where the ranks of a job on one host meet.
std::string fileOfJob(std::string job) {
  for (char& c : job) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  }
  std::string folder = "/tmp";
  for (const char* const name : {"TMPDIR", "XDG_RUNTIME_DIR"}) {
    // A session of another kind may name one that is not there.
    if (access(variable(name).c_str(), W_OK) == 0) folder = variable(name);
  }
  return folder + "/espalier-" + std::to_string(geteuid()) + "-" + job + ".meeting";
}

/// What the user says of this rank, before what a launcher does.
Status readRank(Launch& launch) {
  if (variable("ESPALIER_RANK").empty() && variable("ESPALIER_SIZE").empty()) {
    const Status status = readLaunch(launch);
    if (!status.ok() || launch.by != nullptr) return status;
  }
  for (const char* const name : {"ESPALIER_RANK", "ESPALIER_SIZE"}) {
    if (variable(name).empty()) return invalid(std::string(name) + " is not set. " + environmentHelp());
  }
  const Status status = readNumber("ESPALIER_RANK", launch.rank);
  return status.ok() ? readNumber("ESPALIER_SIZE", launch.size) : status;
}

Status readPlace(Environment& environment) {
  Launch launch;
  Status status = readRank(launch);
  transport::GroupOptions& group = environment.group;
  group.rank = launch.rank;
  group.size = launch.size;
  if (!status.ok() || group.size == 1) return status;
  std::string place = variable("ESPALIER_RENDEZVOUS");
  if (place.empty() && !launch.job.empty()) place = "file:" + fileOfJob(launch.job);
  if (place.empty()) place = launch.place;
  if (place.empty() && launch.by == nullptr) return invalid("ESPALIER_RENDEZVOUS is not set. " + environmentHelp());
  if (place.empty()) {
    return invalid(std::string(launch.by) + " has started ranks on several hosts: set ESPALIER_RENDEZVOUS to host:port "
                   "of rank 0 and ESPALIER_SECRET_FILE on all of them");
  }
  if (place.starts_with("file:")) {
    environment.meetingFile = place.substr(5);
    return status;
  }
  status = readMeetingPlace(place, group);
  return status.ok() ? readSecret(group.secret) : status;
}

}  // namespace

Status readEnvironment(Environment& environment) {
  for (const char* name : {"ESPALIER_RANK", "ESPALIER_SIZE", "ESPALIER_RENDEZVOUS"}) {
    environment.configured |= !variable(name).empty();
  }
  environment.configured |= isLaunched();
  if (!environment.configured) return Status::success();
  transport::GroupOptions& group = environment.group;
  // A rank of mlx_lm.server idles in a collective until the next request: liveness alone ends a wait.
  group.operationTimeoutMs = 0;
  // Whoever starts MLX by hand or by mpirun starts all ranks anew.
  group.disagreementEnds = true;
  group.hostId = variable("ESPALIER_HOST_ID");
  if (group.hostId.empty()) group.hostId = hostIdOfThisMachine();
  environment.wantsStats = variable("ESPALIER_STATS") == "1";
  Status status = readNumber("ESPALIER_RENDEZVOUS_TIMEOUT_MS", group.rendezvousTimeoutMs);
  if (status.ok()) status = readPlace(environment);
  if (status.ok()) status = readNumber("ESPALIER_EPOCH", group.epoch);
  if (status.ok()) status = readNumber("ESPALIER_LIVENESS_TIMEOUT_MS", group.livenessTimeoutMs);
  if (status.ok()) status = readNumber("ESPALIER_OPERATION_TIMEOUT_MS", group.operationTimeoutMs);
  if (status.ok()) status = readLinks(group.links);
  return status.ok() ? readWires(group) : status;
}

std::string environmentHelp() {
  return "this process is no rank of a group yet. On one host, start it with \"espalier launch --ranks 2 -- "
         "program …\", mpirun or mlx.launch. On several, set for each rank ESPALIER_RANK, ESPALIER_SIZE, "
         "ESPALIER_RENDEZVOUS=host:port (rank 0 listens there) and ESPALIER_SECRET_FILE (the same content everywhere).";
}

}  // namespace espalier::mpi
