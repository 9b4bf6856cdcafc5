#include <cmath>

#include "bench/perf/options.h"
#include "bench/perf/report.h"
#include "bench/perf/rounds.h"
#include "test/check.h"

namespace {

using namespace espalier::perf;

std::vector<bool> chosen(const std::vector<std::pair<double, double>>& probes) {
  std::vector<Round> rounds;
  for (const auto& [before, after] : probes) rounds.push_back({before, after});
  return choose(rounds);
}

std::string parse(std::vector<const char*> words, Options& options) {
  words.insert(words.begin(), "espalier-perf");
  return parseOptions(static_cast<int>(words.size()), const_cast<char**>(words.data()), options);
}

}  // namespace

TEST("a round counts when the cores stayed where they were in most rounds") {
  CHECK(chosen({{10, 10.5}, {11, 10}, {10, 35}, {36, 36}, {10.2, 10}}) ==
        std::vector<bool>({true, true, false, false, true}));
  CHECK(chosen({{36, 35}, {10, 10}, {37, 36}, {35, 36}}) == std::vector<bool>({true, false, true, true}));
}

TEST("every round counts where nothing was probed, or where too few agree") {
  CHECK(chosen({{0, 0}, {0, 0}, {0, 0}, {0, 0}}) == std::vector<bool>(4, true));
  CHECK(chosen({{10, 40}, {40, 10}, {10, 10}, {90, 90}}) == std::vector<bool>(4, true));
}

TEST("a ratio is that of the rounds in which both were measured, and which count") {
  const auto at = [](int round, double us) { return Entry::Sample{round, Reply{.medianUs = us}}; };
  Entry ours, floor;
  ours.samples = {at(0, 12), at(1, 90), at(2, 30), at(3, 11)};
  floor.samples = {at(0, 10), at(1, 10), at(2, 20)};
  CHECK_EQ(ratioOf(ours, floor, {true, false, true, true}), 1.35);
  CHECK_EQ(ratioOf(ours, floor, {false, false, false, true}), 0.0);
}

TEST("bandwidth on the bus is that of nccl-tests") {
  Cell cell{.ranks = 4, .bytes = 4'000'000};
  const auto gbps = [&](Collective collective) {
    cell.collective = collective;
    return std::round(busGBps(cell, 1'000) * 1'000) / 1'000;
  };
  CHECK_EQ(gbps(Collective::AllReduce), 6.0);
  CHECK_EQ(gbps(Collective::AllGather), 3.0);
  CHECK_EQ(gbps(Collective::ReduceScatter), 3.0);
  CHECK_EQ(gbps(Collective::Send), 4.0);
}

TEST("a rank's buffers hold one block or the blocks of all, as the collective has it") {
  Cell cell{.collective = Collective::AllGather, .ranks = 4, .bytes = 4'096};
  CHECK_EQ(inputBytes(cell), size_t{1'024});
  CHECK_EQ(outputBytes(cell), size_t{4'096});
  cell.collective = Collective::ReduceScatter;
  CHECK_EQ(inputBytes(cell), size_t{4'096});
  CHECK_EQ(outputBytes(cell), size_t{1'024});
}

TEST("options are lists; a wrong word is named with what is possible") {
  Options options;
  CHECK_EQ(parse({"--bytes", "16K,2M,7000", "--ranks", "2,16", "--link", "tcp", "--dtype", "all"}, options), "");
  CHECK(options.sizes == std::vector<size_t>({16'384, 2'097'152, 7'000}));
  CHECK(options.ranks == std::vector<int>({2, 16}));
  CHECK_EQ(options.types.size(), size_t{3});
  CHECK_EQ(parse({"--ranks", "17"}, options), "--ranks: '17' must be a whole number from 2 to 16");
  CHECK_EQ(parse({"--buffers", "mine"}, options), "--buffers: there is no 'mine'; one or more of own, any, or all");
  CHECK_EQ(parse({"--rounds"}, options), "--rounds needs a value");
}

TEST("JSON has the fields of the contract in one array") {
  CHECK_EQ(jsonOf({}), "[]\n");
  Result result;
  result.library = "floor";
  result.cell.bytes = 4'096;
  result.medianUs = 2;
  result.p99Us = 3;
  CHECK_EQ(jsonOf({result}),
           "[\n {\"library\": \"floor\", \"collective\": \"all-reduce\", \"link\": \"shm\", \"buffers\": \"any\", "
           "\"ranks\": 2, \"dtype\": \"fp32\", \"bytes\": 4096, \"medianUs\": 2.000, \"p99Us\": 3.000, "
           "\"busGBps\": 2.048}\n]\n");
}

int main(int argc, char** argv) { return espalier::test::runCases(argc, argv); }
