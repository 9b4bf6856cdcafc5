#include "bench/perf/options.h"

#include <cctype>
#include <functional>
#include <map>
#include <sstream>

namespace espalier::perf {
namespace {

std::vector<std::string> splitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

/// A whole number from `least` to `most`, with K, M or G for powers of 1024. False: it is none.
bool parseNumber(const std::string& text, size_t least, size_t most, size_t& value) {
  size_t used = 0;
  value = 0;
  while (used < text.size() && used < 15 && std::isdigit(static_cast<unsigned char>(text[used])) != 0) {
    value = value * 10 + static_cast<size_t>(text[used++] - '0');
  }
  const std::string unit = text.substr(used);
  const std::map<std::string, int> shifts = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}};
  const auto shift = shifts.find(unit);
  if (used == 0 || shift == shifts.end()) return false;
  value <<= shift->second;
  return value >= least && value <= most;
}

template <class Value>
std::string chooseAll(const std::string& name, const std::string& text, const std::vector<Value>& all,
                      std::vector<Value>& chosen) {
  chosen.clear();
  std::string words;
  for (const Value value : all) words += (words.empty() ? "" : ", ") + std::string(nameOf(value));
  for (const std::string& part : splitAtCommas(text)) {
    bool found = false;
    for (const Value value : all) {
      if (part != nameOf(value) && part != "all") continue;
      chosen.push_back(value);
      found = true;
    }
    if (!found) return name + ": there is no '" + part + "'; one or more of " + words + ", or all";
  }
  return chosen.empty() ? name + " is empty; one or more of " + words : "";
}

template <class Number>
std::string numbers(const std::string& name, const std::string& text, size_t least, size_t most,
                    std::vector<Number>& chosen) {
  chosen.clear();
  for (const std::string& part : splitAtCommas(text)) {
    size_t value = 0;
    if (!parseNumber(part, least, most, value)) {
      return name + ": '" + part + "' must be a whole number from " + std::to_string(least) + " to " +
             std::to_string(most) + (most > 100'000 ? " (4096, 16K, 64M)" : "");
    }
    chosen.push_back(static_cast<Number>(value));
  }
  return chosen.empty() ? name + " is empty" : "";
}

std::string choosePeers(const std::string& text, std::vector<std::string>& peers) {
  peers.clear();
  for (const std::string& part : splitAtCommas(text)) {
    if (part != "openmpi" && part != "ucx") return "--vs: there is no '" + part + "'; openmpi, ucx or both";
    peers.push_back(part);
  }
  return "";
}

std::string one(const std::string& name, const std::string& text, size_t most, int& value) {
  std::vector<int> values;
  std::string why = numbers(name, text, 1, most, values);
  if (why.empty() && values.size() != 1) why = name + " takes one number";
  if (why.empty()) value = values[0];
  return why;
}

}  // namespace

std::string parseOptions(int argc, char** argv, Options& options) {
  const std::map<std::string, std::function<void()>> flags = {
      {"--json", [&] { options.format = Options::Format::Json; }},
      {"--in-place", [&] { options.inPlace = true; }},
      {"--no-floor", [&] { options.hasFloor = false; }},
  };
  using Take = std::function<std::string(const std::string& name, const std::string& text)>;
  const std::vector<Collective> collectives = {Collective::AllReduce,     Collective::AllGather,
                                               Collective::ReduceScatter, Collective::Broadcast,
                                               Collective::Send,          Collective::Barrier};
  const std::vector<LinkKind> links = {LinkKind::SharedMemory, LinkKind::Tcp, LinkKind::Verbs};
  const std::vector<DataType> types = {DataType::Float32, DataType::BFloat16, DataType::Float16};
  const std::vector<Buffers> buffers = {Buffers::Own, Buffers::Any};
  const std::map<std::string, Take> takers = {
      {"--collective", [&](auto& n, auto& t) { return chooseAll(n, t, collectives, options.collectives); }},
      {"--link", [&](auto& n, auto& t) { return chooseAll(n, t, links, options.links); }},
      {"--dtype", [&](auto& n, auto& t) { return chooseAll(n, t, types, options.types); }},
      {"--buffers", [&](auto& n, auto& t) { return chooseAll(n, t, buffers, options.buffers); }},
      {"--ranks", [&](auto& n, auto& t) { return numbers(n, t, 2, kMaxRanks, options.ranks); }},
      {"--bytes", [&](auto& n, auto& t) { return numbers(n, t, 4, size_t{1} << 30, options.sizes); }},
      {"--rounds", [&](auto& n, auto& t) { return one(n, t, 1'000, options.rounds); }},
      {"--budget-ms", [&](auto& n, auto& t) { return one(n, t, 10'000, options.budgetMs); }},
      {"--vs", [&](auto&, auto& t) { return choosePeers(t, options.peers); }},
      {"--verbs-devices", [&](auto&, auto& t) { options.verbsDevices = splitAtCommas(t); return std::string(); }},
      {"--csv", [&](auto&, auto& t) { options.format = Options::Format::Csv; options.csvTag = t; return std::string(); }},
  };
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (const auto flag = flags.find(name); flag != flags.end()) {
      flag->second();
      continue;
    }
    const auto taker = takers.find(name);
    if (taker == takers.end()) return "there is no option " + name;
    if (i + 1 == argc) return name + " needs a value";
    if (std::string why = taker->second(name, argv[++i]); !why.empty()) return why;
  }
  return "";
}

const char* usageText() {
  return R"(usage: espalier-perf [option]...
  --collective LIST   all-reduce, all-gather, reduce-scatter, broadcast, send, barrier or all (all-reduce)
  --link LIST         shm, tcp, verbs (shm,tcp)
  --ranks LIST        2 to 16 (2)
  --dtype LIST        fp32, bf16, fp16 (fp32)
  --buffers LIST      own: from the transport, any: from the heap (own,any)
  --bytes LIST        4096, 16K, 64M (4 KiB to 64 MiB)
  --in-place          the result takes the place of the input
  --vs LIST           openmpi, ucx: measure them too, in turn with ours
  --no-floor          leave the bare exchanges out
  --rounds N          rounds per cell (21)
  --budget-ms N       longest time of one contender in a round (12)
  --verbs-devices LIST  RDMA device of each rank
  --json | --csv TAG  one array of results, or lines TAG,dtype,ranks,bytes,calls,min,p50,p99,mean,probe,probe
)";
}

}  // namespace espalier::perf
