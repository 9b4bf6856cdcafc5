#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <vector>

#include "support/test.h"

namespace espalier::test {
namespace {

struct Case {
  const char* name;
  void (*body)();
};
std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
std::mutex mutex;
int failures = 0;
std::vector<std::string> folders;

}  // namespace

Registration::Registration(const char* name, void (*body)()) { cases().push_back({name, body}); }

void fail(const char* file, int line, const std::string& what) {
  const std::lock_guard lock(mutex);
  failures++;
  std::fprintf(stderr, "  %s:%d: %s\n", file, line, what.c_str());
}

std::string temporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "espalier-engine-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  const std::lock_guard lock(mutex);
  return folders.emplace_back(pattern);
}

}  // namespace espalier::test

/// Arguments: parts of names; without any, all tests run.
int main(int count, char** arguments) {
  using namespace espalier::test;
  int failed = 0, ran = 0;
  for (const Case& test : cases()) {
    bool wanted = count < 2;
    for (int i = 1; i < count; i++) wanted = wanted || std::strstr(test.name, arguments[i]) != nullptr;
    if (!wanted) continue;
    const int before = failures;
    const auto start = std::chrono::steady_clock::now();
    test.body();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("%s %s (%.2f s)\n", failures == before ? "ok  " : "FAIL", test.name, took.count());
    std::fflush(stdout);
    failed += failures != before;
    ran++;
  }
  std::error_code ignored;
  for (const std::string& folder : folders) std::filesystem::remove_all(folder, ignored);
  std::printf("%d of %d tests failed\n", failed, ran);
  return failed == 0 && ran > 0 ? 0 : 1;
}
