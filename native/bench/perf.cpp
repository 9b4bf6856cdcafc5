// espalier-perf: latency and bandwidth of the all-reduce on one link, ranks as processes on this host.
//   espalier-perf [--link shm|tcp] [--ranks N] [--bytes A,B,…] [--budget-ms N] [--csv TAG]
// The table gives microseconds per call on rank 0 and the algorithm bandwidth; CSV lines are
// tag,dtype,ranks,bytes,iterations,min_us,p50_us,p99_us,mean_us,0,0.
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "transport/group.h"

namespace {

using namespace espalier;
using namespace espalier::transport;

struct Arguments {
  LinkKind link = LinkKind::SharedMemory;
  int ranks = 2;
  int budgetMs = 200;
  std::vector<size_t> sizes = {8, 4096, 8192, 16384, 65536, 262144, 1048576, 16777216, 67108864};
  std::string csvTag;
};

double nowUs() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s: %s\n", status.code.c_str(), status.message.c_str());
  std::exit(1);
}

/// One core per rank where there are enough: otherwise the scheduler may put two on one.
void pin(int rank, int ranks) {
#ifdef __linux__
  if (ranks > static_cast<int>(std::thread::hardware_concurrency())) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(rank, &cores);
  sched_setaffinity(0, sizeof cores, &cores);
#endif
}

void print(const Arguments& arguments, size_t bytes, std::vector<double>& times) {
  std::sort(times.begin(), times.end());
  double sum = 0;
  for (const double one : times) sum += one;
  const double mean = sum / static_cast<double>(times.size()), median = times[times.size() / 2];
  const double late = times[times.size() * 99 / 100];
  if (arguments.csvTag.empty()) {
    std::printf("%10zu %8zu %9.2f %9.2f %9.2f %9.2f %8.2f\n", bytes, times.size(), times[0], median, late, mean,
                static_cast<double>(bytes) / median / 1e3);
  } else {
    std::printf("%s,fp32,%d,%zu,%zu,%.2f,%.2f,%.2f,%.2f,0,0\n", arguments.csvTag.c_str(), arguments.ranks, bytes,
                times.size(), times[0], median, late, mean);
  }
  std::fflush(stdout);
}

void measure(Group& group, const Arguments& arguments, size_t bytes) {
  const size_t count = bytes / sizeof(float);
  std::vector<float> in(count, 1.0f), out(count);
  int64_t iterations = 5;
  std::vector<double> times;
  for (int phase = 0; phase < 3; ++phase) {  // learn the speed, warm up, measure
    times.clear();
    const double began = nowUs();
    for (int64_t i = 0; i < iterations; ++i) {
      const double start = nowUs();
      check(group.allReduce(in.data(), out.data(), count, DataType::Float32, ReduceOp::Sum));
      times.push_back(nowUs() - start);
    }
    const double each = (nowUs() - began) / static_cast<double>(iterations);
    const double budgetUs = arguments.budgetMs * (phase == 0 ? 200.0 : 1'000.0);
    if (phase < 2) iterations = std::clamp<int64_t>(static_cast<int64_t>(budgetUs / (each + 0.01)), 5, 50'000);
    check(group.broadcast(&iterations, 1, DataType::Int64, 0));
  }
  for (const float value : out) {
    if (value == static_cast<float>(group.size())) continue;
    std::fprintf(stderr, "wrong result\n");
    std::exit(1);
  }
  if (group.rank() == 0) print(arguments, bytes, times);
}

void runRank(int rank, const Arguments& arguments, std::atomic<int>* port) {
  pin(rank, arguments.ranks);
  GroupOptions options;
  options.rank = rank;
  options.size = arguments.ranks;
  options.secret = "measurement";
  options.links = {arguments.link};
  options.onListeningContext = port;
  options.onListening = [](uint16_t bound, void* context) { *static_cast<std::atomic<int>*>(context) = bound; };
  while (rank > 0 && *port == 0) usleep(1'000);
  options.rendezvousPort = static_cast<uint16_t>(rank > 0 ? port->load() : 0);
  Status status;
  const auto group = Group::create(options, status);
  check(status);
  if (rank == 0 && arguments.csvTag.empty()) {
    std::printf("%10s %8s %9s %9s %9s %9s %8s\n", "bytes", "calls", "min us", "p50 us", "p99 us", "mean us", "GB/s");
  }
  for (const size_t bytes : arguments.sizes) measure(*group, arguments, bytes);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--link") arguments.link = value == "tcp" ? LinkKind::Tcp : LinkKind::SharedMemory;
    if (name == "--ranks") arguments.ranks = std::atoi(value.c_str());
    if (name == "--budget-ms") arguments.budgetMs = std::atoi(value.c_str());
    if (name == "--csv") arguments.csvTag = value;
    if (name != "--bytes") continue;
    arguments.sizes.clear();
    for (size_t at = 0; at < value.size();) {
      size_t used = 0;
      arguments.sizes.push_back(std::stoull(value.substr(at), &used));
      at += used + 1;
    }
  }
  return arguments;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  void* shared = mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* port = new (shared) std::atomic<int>(0);
  for (int rank = 1; rank < arguments.ranks; ++rank) {
    if (fork() != 0) continue;
    runRank(rank, arguments, port);
    return 0;
  }
  runRank(0, arguments, port);
  int failed = 0, wait = 0;
  while (::wait(&wait) > 0) failed |= wait;
  return failed == 0 ? 0 : 1;
}
