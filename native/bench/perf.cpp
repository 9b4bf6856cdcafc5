// espalier-perf: latency and bandwidth of every collective on every link, beside Open MPI, UCX and the bare exchange.
// How it measures: docs/perf.md. The processes are those of perf/crew.h, the order of play is perf/tournament.h.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/perf/options.h"
#include "bench/perf/rank.h"
#include "bench/perf/report.h"
#include "bench/perf/tournament.h"

namespace {

using namespace espalier::perf;

constexpr int kFailed = 1, kUsage = 2, kSignalled = 128;

void onSignal(int signal) { interruptCrews(signal); }

/// Overwrites one line of a terminal; elsewhere nothing.
void showProgress(const std::string& text) {
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K%s", text.c_str());
}

int measure(const Options& options) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, onSignal);
  std::signal(SIGPIPE, SIG_IGN);
  const Listener listener{
      .onNotice = [](const std::string& text) { showProgress(""), std::fprintf(stderr, "espalier-perf: %s\n", text.c_str()); },
      .onProgress = showProgress,
  };
  std::vector<Result> results;
  const std::string why = runTournament(options, listener, results);
  showProgress("");
  if (interruption() != 0) return kSignalled + interruption();
  if (!why.empty()) {
    std::fprintf(stderr, "espalier-perf: %s\n", why.c_str());
    return kFailed;
  }
  const std::string text = options.format == Options::Format::Json  ? jsonOf(results)
                           : options.format == Options::Format::Csv ? csvOf(results, options.csvTag)
                                                                    : tableOf(results);
  return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? kFailed : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "--as-mpi-rank") == 0) return serveMpi(argv[2], std::atoi(argv[3]));
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return std::fputs(usageText(), stdout) < 0 ? kFailed : 0;
  Options options;
  const std::string why = parseOptions(argc, argv, options);
  if (why.empty()) return measure(options);
  std::fprintf(stderr, "espalier-perf: %s; --help lists the options\n", why.c_str());
  return kUsage;
}
