// Decode speed of one model on this machine, beside the bandwidth that its memory gives.
//
//   espalier_engine_bench FOLDER [threads] [tokens] [prompt tokens] [kernels]
//
// One rank, one sequence: the share of the model's weights that a token reads (all of the shard) over the time of a token,
// against a plain sum over a buffer of 512 MiB by as many threads. One JSON document on stdout.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "engine/llama.h"

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

/// Best of five passes, in bytes per second.
double readBandwidth(int threads) {
  constexpr size_t kWords = size_t{64} << 20;
  engine::Pages pages;
  if (!engine::Pages::allocate(kWords * sizeof(uint64_t), pages)) return 0;
  pages.useHugePages();
  auto* words = reinterpret_cast<uint64_t*>(pages.data());
  for (size_t i = 0; i < kWords; i++) words[i] = i;
  double best = 0;
  volatile uint64_t sink = 0;
  for (int pass = 0; pass < 5; pass++) {
    const auto start = Clock::now();
    std::vector<std::thread> workers;
    std::vector<uint64_t> sums(static_cast<size_t>(threads));
    for (int thread = 0; thread < threads; thread++)
      workers.emplace_back([&, thread] {
        const size_t share = kWords / static_cast<size_t>(threads);
        sums[static_cast<size_t>(thread)] = sumWords(words + static_cast<size_t>(thread) * share, share);
      });
    for (std::thread& worker : workers) worker.join();
    for (const uint64_t sum : sums) sink = sink + sum;
    best = std::max(best, static_cast<double>(kWords * sizeof(uint64_t)) / secondsSince(start));
  }
  return best;
}

const engine::Kernels* findKernels(const char* name) {
  for (const engine::Kernels* kernels : engine::availableKernels())
    if (std::string(kernels->name) == name) return kernels;
  return &engine::bestKernels();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::fprintf(stderr, "usage: %s FOLDER [threads] [tokens] [prompt tokens] [kernels]\n", arguments[0]), 2;
  const auto number = [&](int index, int fallback) { return count > index ? std::max(1, std::atoi(arguments[index])) : fallback; };
  const int threads = number(2, 1), tokens = number(3, 32), promptTokens = number(4, 16);
  const engine::Kernels* kernels = findKernels(count > 5 ? arguments[5] : "");
  engine::ModelConfig config;
  Status status = engine::loadModelConfig(arguments[1], config);
  engine::ModelOptions options;
  options.folder = arguments[1];
  options.contextLength = promptTokens + tokens;
  options.threads = threads;
  options.shard.endLayer = config.layers;
  auto start = Clock::now();
  auto model = status.ok() ? engine::LlamaModel::load(options, kernels, status) : nullptr;
  if (model == nullptr) return std::fprintf(stderr, "%s: %s\n", status.code.c_str(), status.message.c_str()), 1;
  const double loadSeconds = secondsSince(start);

  std::vector<int32_t> prompt(static_cast<size_t>(promptTokens));
  for (size_t i = 0; i < prompt.size(); i++) prompt[i] = static_cast<int32_t>(i * 37 % static_cast<size_t>(config.vocabSize));
  std::vector<float> hidden(prompt.size() * static_cast<size_t>(config.hiddenSize)), logits;
  engine::Segment segment{.slot = 0, .firstPosition = 0, .tokens = prompt, .needsLogits = true};
  start = Clock::now();
  status = model->forward({&segment, 1}, hidden, logits, nullptr);
  const double prefillSeconds = secondsSince(start);

  std::vector<double> times;
  for (int i = 0; status.ok() && i < tokens; i++) {
    const auto next = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    segment = {.slot = 0, .firstPosition = promptTokens + i, .tokens = {&next, 1}, .needsLogits = true};
    start = Clock::now();
    status = model->forward({&segment, 1}, {hidden.data(), static_cast<size_t>(config.hiddenSize)}, logits, nullptr);
    times.push_back(secondsSince(start));
  }
  if (!status.ok()) return std::fprintf(stderr, "%s: %s\n", status.code.c_str(), status.message.c_str()), 1;
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2], bandwidth = readBandwidth(threads);
  const double read = static_cast<double>(model->shardBytes()) / median;
  std::printf("{\"kernels\": \"%s\", \"threads\": %d, \"loadSeconds\": %.2f, \"prefillTokensPerSecond\": %.1f, \"decodeTokensPerSecond\": %.2f, "
              "\"bestTokensPerSecond\": %.2f, \"shardBytes\": %llu, \"weightGigabytesPerSecond\": %.2f, \"memoryGigabytesPerSecond\": %.2f, "
              "\"share\": %.2f}\n",
              kernels->name, threads, loadSeconds, promptTokens / prefillSeconds, 1 / median, 1 / times.front(),
              static_cast<unsigned long long>(model->shardBytes()), read / 1e9, bandwidth / 1e9, read / bandwidth);
  return 0;
}
