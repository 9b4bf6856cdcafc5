// Decode speed of one model on this machine, beside the bandwidth that its memory gives.
//
//   espalier_engine_bench FOLDER [threads] [tokens] [prompt tokens] [ranks] [kernels]
//
// One sequence on `ranks` tensor-parallel ranks, which are threads of this process joined by the real transport. A
// token reads all weights of all shards: their bytes over its time stand against a plain sum and a plain copy over
// 512 MiB by as many threads. One JSON document on stdout.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/llama.h"
#include "transport/group.h"

namespace {

using namespace espalier;
using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

uint64_t sumWords(const uint64_t* words, size_t count) {
  uint64_t sums[8] = {};
  for (size_t i = 0; i + 8 <= count; i += 8)
    for (size_t lane = 0; lane < 8; lane++) sums[lane] += words[i + lane];
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

struct Bandwidth {
  double read = 0, copy = 0;
};

/// Seconds of the best of five passes of `work(thread)` on every thread at once.
template <typename Work>
double bestSeconds(int threads, Work work) {
  double best = 0;
  for (int pass = 0; pass < 5; pass++) {
    const auto start = Clock::now();
    std::vector<std::thread> workers;
    for (int thread = 0; thread < threads; thread++) workers.emplace_back([&, thread] { work(thread); });
    for (std::thread& worker : workers) worker.join();
    const double seconds = secondsSince(start);
    if (pass == 0 || seconds < best) best = seconds;
  }
  return best;
}

/// In bytes per second: a plain sum over 512 MiB, and memcpy from one half of them to the other, where what is read
/// and what is written both count.
Bandwidth measureBandwidth(int threads) {
  constexpr size_t kWords = size_t{64} << 20, kHalf = kWords / 2;
  engine::Pages pages;
  if (!engine::Pages::allocate(kWords * sizeof(uint64_t), pages)) return {};
  pages.useHugePages();
  auto* words = reinterpret_cast<uint64_t*>(pages.data());
  for (size_t i = 0; i < kWords; i++) words[i] = i;
  std::vector<uint64_t> sums(static_cast<size_t>(threads));
  const double readSeconds = bestSeconds(threads, [&](int thread) {
    const size_t share = kWords / static_cast<size_t>(threads), index = static_cast<size_t>(thread);
    sums[index] = sumWords(words + index * share, share);
  });
  const double copySeconds = bestSeconds(threads, [&](int thread) {
    const size_t share = kHalf / static_cast<size_t>(threads), first = static_cast<size_t>(thread) * share;
    std::memcpy(words + kHalf + first, words + first, share * sizeof(uint64_t));
  });
  volatile uint64_t sink = 0;
  for (const uint64_t sum : sums) sink = sink + sum;
  constexpr auto kBytes = static_cast<double>(kWords * sizeof(uint64_t));
  return {.read = kBytes / readSeconds, .copy = kBytes / copySeconds};
}

const engine::Kernels* findKernels(const char* name) {
  for (const engine::Kernels* kernels : engine::availableKernels())
    if (std::string(kernels->name) == name) return kernels;
  return &engine::bestKernels();
}

struct Run {
  std::string folder;
  int threads = 1, tokens = 32, promptTokens = 16, ranks = 1;
  const engine::Kernels* kernels = nullptr;
};

struct Result {
  Status status;
  std::unique_ptr<transport::Group>
      group;  // outlives the run of every rank: who leaves early cuts off the others' last exchange
  double loadSeconds = 0, prefillSeconds = 0;
  std::vector<double> tokenSeconds;
  uint64_t shardBytes = 0;
};

std::unique_ptr<transport::Group> joinGroup(int rank, int ranks, std::promise<uint16_t>& bound,
                                            std::shared_future<uint16_t> port, Status& status) {
  if (ranks == 1) return nullptr;
  transport::GroupOptions options;
  options.rank = rank;
  options.size = ranks;
  options.secret = options.hostId = "bench";
  options.rendezvousPort = rank == 0 ? 0 : port.get();
  options.onListening = [](uint16_t at, void* context) {
    static_cast<std::promise<uint16_t>*>(context)->set_value(at);
  };
  options.onListeningContext = &bound;
  return transport::Group::create(options, status);
}

void decode(const Run& run, engine::Model& model, transport::Group* group, Result& result) {
  const auto width = static_cast<size_t>(model.shape().hiddenSize);
  std::vector<int32_t> prompt(static_cast<size_t>(run.promptTokens));
  for (size_t i = 0; i < prompt.size(); i++)
    prompt[i] = static_cast<int32_t>(i * 37 % static_cast<size_t>(model.shape().vocabSize));
  std::vector<float> hidden(prompt.size() * width), logits;
  engine::Segment segment{.slot = 0, .firstPosition = 0, .tokens = prompt, .needsLogits = true};
  auto start = Clock::now();
  result.status = model.forward({&segment, 1}, hidden, logits, group);
  result.prefillSeconds = secondsSince(start);
  for (int i = 0; result.status.ok() && i < run.tokens; i++) {
    const auto next = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    segment = {.slot = 0, .firstPosition = run.promptTokens + i, .tokens = {&next, 1}, .needsLogits = true};
    start = Clock::now();
    result.status = model.forward({&segment, 1}, {hidden.data(), width}, logits, group);
    result.tokenSeconds.push_back(secondsSince(start));
  }
}

void runRank(const Run& run, int rank, std::promise<uint16_t>& bound, std::shared_future<uint16_t> port,
             Result& result) {
  result.group = joinGroup(rank, run.ranks, bound, std::move(port), result.status);
  transport::Group* group = result.group.get();
  engine::ModelConfig config;
  if (result.status.ok()) result.status = engine::loadModelConfig(run.folder, config);
  engine::ModelOptions options;
  options.folder = run.folder;
  options.contextLength = run.promptTokens + run.tokens;
  options.threads = run.threads;
  options.shard.endLayer = config.layers;
  options.shard.tensorRank = rank;
  options.shard.tensorSize = run.ranks;
  const auto start = Clock::now();
  const auto model = result.status.ok() ? engine::LlamaModel::load(options, run.kernels, result.status) : nullptr;
  result.loadSeconds = secondsSince(start);
  if (model == nullptr) {
    if (group != nullptr) group->abort("a rank could not load the model");
    return;
  }
  result.shardBytes = model->shardBytes();
  decode(run, *model, group, result);
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2)
    return std::fprintf(stderr, "usage: %s FOLDER [threads] [tokens] [prompt tokens] [ranks] [kernels]\n",
                        arguments[0]),
           2;
  const auto number = [&](int index, int fallback) {
    return count > index ? std::max(1, std::atoi(arguments[index])) : fallback;
  };
  const Run run{.folder = arguments[1],
                .threads = number(2, 1),
                .tokens = number(3, 32),
                .promptTokens = number(4, 16),
                .ranks = number(5, 1),
                .kernels = findKernels(count > 6 ? arguments[6] : "")};
  std::vector<Result> results(static_cast<size_t>(run.ranks));
  std::promise<uint16_t> bound;
  const std::shared_future<uint16_t> port = bound.get_future().share();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < run.ranks; rank++)
    ranks.emplace_back([&, rank] { runRank(run, rank, bound, port, results[static_cast<size_t>(rank)]); });
  for (std::thread& rank : ranks) rank.join();
  uint64_t bytes = 0;
  for (const Result& result : results) {
    if (!result.status.ok())
      return std::fprintf(stderr, "%s: %s\n", result.status.code.c_str(), result.status.message.c_str()), 1;
    bytes += result.shardBytes;
  }
  std::vector<double> times = results[0].tokenSeconds;
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  const Bandwidth bandwidth = measureBandwidth(run.threads * run.ranks);
  const double read = static_cast<double>(bytes) / median;
  std::printf(
      "{\"kernels\": \"%s\", \"ranks\": %d, \"threads\": %d, \"loadSeconds\": %.2f, \"prefillTokensPerSecond\": "
      "%.1f, "
      "\"decodeTokensPerSecond\": %.2f, \"bestTokensPerSecond\": %.2f, \"weightBytes\": %llu, "
      "\"weightGigabytesPerSecond\": %.2f, "
      "\"memoryGigabytesPerSecond\": %.2f, \"copyGigabytesPerSecond\": %.2f, \"share\": %.2f}\n",
      run.kernels->name, run.ranks, run.threads, results[0].loadSeconds,
      run.promptTokens / results[0].prefillSeconds, 1 / median, 1 / times.front(),
      static_cast<unsigned long long>(bytes), read / 1e9, bandwidth.read / 1e9, bandwidth.copy / 1e9, read / bandwidth.read);
  return 0;
}
