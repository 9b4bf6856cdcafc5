#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "bench/perf/cell.h"

namespace espalier::perf {

struct Options {
  std::vector<Collective> collectives = {Collective::AllReduce};
  std::vector<LinkKind> links = {LinkKind::SharedMemory, LinkKind::Tcp};
  std::vector<int> ranks = {2};
  std::vector<DataType> types = {DataType::Float32};
  std::vector<Buffers> buffers = {Buffers::Own, Buffers::Any};
  std::vector<size_t> sizes = {4'096,   8'192,     16'384,    32'768,     65'536,
                               262'144, 1'048'576, 4'194'304, 16'777'216, 67'108'864};
  std::vector<std::string> peers;
  bool inPlace = false;
  bool hasFloor = true;
  int rounds = 21;
  /// Longest that one contender is measured in one round of one cell; large messages take two calls at least.
  int budgetMs = 12;
  enum class Format { Table, Json, Csv } format = Format::Table;
  std::string csvTag;
  /// RDMA device of each rank.
  std::vector<std::string> verbsDevices;
};

/// Empty: success; else what is wrong with which argument.
std::string parseOptions(int argc, char** argv, Options& options);
const char* usageText();

}  // namespace espalier::perf
