#include "engine/json.h"

#include "support/test.h"

namespace {

using espalier::engine::Json;

bool parses(std::string_view text) {
  Json value;
  std::string error;
  const bool ok = Json::parse(text, value, error);
  CHECK(ok == error.empty());
  return ok;
}

TEST("json: values") {
  Json value;
  std::string error;
  CHECK(Json::parse(R"( {"b": [1, -2.5e1, true, null], "a": "x\n\u00e9\ud83d\ude00", "c": {}} )", value, error));
  CHECK_EQUAL(value.members.size(), 3U);
  CHECK_EQUAL(value.find("a")->string, "x\n\xC3\xA9\xF0\x9F\x98\x80");
  const std::vector<Json>& list = value.find("b")->items;
  CHECK(list[0].isInteger && list[0].integer == 1);
  CHECK(!list[1].isInteger && list[1].number == -25.0);
  CHECK(list[2].boolean && list[3].isNull());
  CHECK(value.find("d") == nullptr);
}

TEST("json: integers beyond 64 bits are numbers only") {
  Json value;
  std::string error;
  CHECK(Json::parse("9223372036854775807", value, error) && value.isInteger);
  CHECK(Json::parse("9223372036854775808", value, error) && !value.isInteger);
}

TEST("json: what is not JSON is refused") {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "[1,]",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{\"a\" 1}",
                           "{\"a\":1 \"b\":2}",
                           "01",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "1e999",
                           "-",
                           "NaN",
                           "Infinity",
                           "tru",
                           "nulls",
                           "\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\t\"",
                           "1 2",
                           "{\"a\":1,\"a\":2}",
                           "// x\n1",
                           "'a'",
                           "[1",
                           "{\"a\":"})
    CHECK(!parses(text));
  CHECK(!parses(std::string(100, '[') + std::string(100, ']')));
  CHECK(parses(std::string(60, '[') + std::string(60, ']')));
}

}  // namespace
