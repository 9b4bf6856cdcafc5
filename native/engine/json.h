#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace espalier::engine {

/// A JSON value (RFC 8259, nothing more): no comments, no trailing commas, no duplicate keys, no text after the
/// value.
class Json {
 public:
  enum class Kind : uint8_t { Null, Bool, Number, String, Array, Object };

  /// Parses the whole text. On failure returns false; `error` says what was expected at which byte.
  static bool parse(std::string_view text, Json& out, std::string& error);

  Kind kind = Kind::Null;
  bool boolean = false;
  bool isInteger = false;  ///< the number was written without fraction and exponent and fits `integer`
  int64_t integer = 0;
  double number = 0;
  std::string string;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;  ///< sorted by key

  bool isNull() const { return kind == Kind::Null; }
  bool isObject() const { return kind == Kind::Object; }
  bool isArray() const { return kind == Kind::Array; }
  bool isString() const { return kind == Kind::String; }
  /// Member of an object, null when this is no object or has no such key.
  const Json* find(std::string_view key) const;
};

}  // namespace espalier::engine
