#pragma once
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// A test framework of one page: TEST("what holds") { CHECK(...); } and a main() that runs what its arguments name.
namespace espalier::test {

struct Case {
  std::string name;
  std::function<void()> body;
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Registration {
  Registration(std::string name, std::function<void()> body) { cases().push_back({std::move(name), std::move(body)}); }
};

class CheckFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] inline void failCheck(const char* file, int line, const std::string& what) {
  throw CheckFailure(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <class A, class B>
void checkEqual(const A& got, const B& expected, const char* file, int line, const char* text) {
  if (got == expected) return;
  std::ostringstream out;
  out << text << " is " << got << ", expected " << expected;
  failCheck(file, line, out.str());
}

/// Cases named so take seconds or need rights of their own: they run only if asked for.
inline bool isHeavy(const std::string& name) { return name.starts_with("slow:") || name.starts_with("netns:"); }

/// Cases named so need RDMA devices as test/rdma/ sets them up.
inline bool needsDevices(const std::string& name) { return name.starts_with("verbs:"); }

/// Runs the cases whose name contains an argument; without arguments all that are not heavy, or the heavy ones too if
/// ESPALIER_TEST_ALL is set, but never those that need devices. Returns the exit code.
inline int runCases(int argc, char** argv) {
  int failed = 0, ran = 0;
  const bool all = std::getenv("ESPALIER_TEST_ALL") != nullptr;
  for (const Case& one : cases()) {
    bool wanted = argc < 2 && (all || !isHeavy(one.name)) && !needsDevices(one.name);
    for (int i = 1; i < argc; ++i) wanted |= one.name.find(argv[i]) != std::string::npos;
    if (!wanted) continue;
    ++ran;
    try {
      const auto began = std::chrono::steady_clock::now();
      one.body();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      std::printf("ok   %s (%.2f s)\n", one.name.c_str(), took.count());
    } catch (const std::exception& error) {
      ++failed;
      std::printf("FAIL %s\n     %s\n", one.name.c_str(), error.what());
    }
    std::fflush(stdout);
  }
  std::printf("%d of %d passed\n", ran - failed, ran);
  return failed == 0 && ran > 0 ? 0 : 1;
}

}  // namespace espalier::test

#define ESPALIER_JOIN2(a, b) a##b
#define ESPALIER_JOIN(a, b) ESPALIER_JOIN2(a, b)
#define TEST(name)                                                                                            \
  static void ESPALIER_JOIN(testBody, __LINE__)();                                                            \
  static const ::espalier::test::Registration ESPALIER_JOIN(registration, __LINE__){                          \
      name, &ESPALIER_JOIN(testBody, __LINE__)};                                                              \
  static void ESPALIER_JOIN(testBody, __LINE__)()
#define CHECK(condition)                                                                                      \
  do {                                                                                                        \
    if (!(condition)) ::espalier::test::failCheck(__FILE__, __LINE__, #condition " does not hold");           \
  } while (false)
#define CHECK_EQ(got, expected) ::espalier::test::checkEqual((got), (expected), __FILE__, __LINE__, #got)
