#pragma once
#include <sstream>
#include <string>

// A test is a function that registers itself; a failed CHECK is reported with its values and the test goes on.

namespace espalier::test {

struct Registration {
  Registration(const char* name, void (*body)());
};
void fail(const char* file, int line, const std::string& what);
/// A fresh folder that is removed when the program ends.
std::string temporaryFolder();

template <typename A, typename B>
void checkEqual(const A& a, const B& b, const char* text, const char* file, int line) {
  if (a == b) return;
  std::ostringstream what;
  what << text << ": " << a << " is not " << b;
  fail(file, line, what.str());
}

}  // namespace espalier::test

#define TEST_JOIN2(a, b) a##b
#define TEST_JOIN(a, b) TEST_JOIN2(a, b)
#define TEST(name)                                                                                              \
  static void TEST_JOIN(test_, __LINE__)();                                                                     \
  static const espalier::test::Registration TEST_JOIN(registered_, __LINE__)(name, TEST_JOIN(test_, __LINE__)); \
  static void TEST_JOIN(test_, __LINE__)()
#define CHECK(condition) ((condition) ? void() : espalier::test::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQUAL(a, b) espalier::test::checkEqual((a), (b), #a " == " #b, __FILE__, __LINE__)
