#pragma once
#include <string>
#include <vector>

#include "bench/perf/options.h"
#include "bench/perf/tournament.h"

namespace espalier::perf {

std::string jsonOf(const std::vector<Result>& results);
/// Lines `tag,dtype,ranks,bytes,calls,min,p50,p99,mean,probe,probe` of our own library, times in microseconds.
std::string csvOf(const std::vector<Result>& results, const std::string& tag);
std::string tableOf(const std::vector<Result>& results);

}  // namespace espalier::perf
