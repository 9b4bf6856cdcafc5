#include "engine/json.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>

namespace espalier::engine {
namespace {

constexpr int kMaxDepth = 64;

class Parser {
 public:
  Parser(std::string_view text, std::string& error) : text_(text), error_(error) {}

  bool document(Json& out) {
    if (!value(out, 0)) return false;
    skipSpace();
    return at_ == text_.size() || fail("the end of the text");
  }

 private:
  bool fail(const char* expected) {
    error_ = std::string("expected ") + expected + " at byte " + std::to_string(at_);
    return false;
  }

  void skipSpace() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      at_++;
  }

  bool take(char wanted) {
    skipSpace();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    at_++;
    return true;
  }

  bool word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return fail("a value");
    at_ += wanted.size();
    return true;
  }

  bool value(Json& out, int depth) {
    if (depth > kMaxDepth) return fail("at most 64 levels of nesting");
    skipSpace();
    if (at_ >= text_.size()) return fail("a value");
    switch (text_[at_]) {
      case '{': return object(out, depth);
      case '[': return array(out, depth);
      case '"': out.kind = Json::Kind::String; return string(out.string);
      case 't':
        out.kind = Json::Kind::Bool;
        out.boolean = true;
        return word("true");
      case 'f': out.kind = Json::Kind::Bool; return word("false");
      case 'n': return word("null");
      default: out.kind = Json::Kind::Number; return number(out);
    }
  }

  bool object(Json& out, int depth) {
    out.kind = Json::Kind::Object;
    at_++;
    if (take('}')) return true;
    do {
      skipSpace();
      auto& [key, member] = out.members.emplace_back();
      if (!string(key)) return false;
      if (!take(':')) return fail("':'");
      if (!value(member, depth + 1)) return false;
    } while (take(','));
    if (!take('}')) return fail("',' or '}'");
    const auto byKey = [](const auto& a, const auto& b) { return a.first < b.first; };
    const auto sameKey = [](const auto& a, const auto& b) { return a.first == b.first; };
    std::sort(out.members.begin(), out.members.end(), byKey);
    if (std::adjacent_find(out.members.begin(), out.members.end(), sameKey) != out.members.end())
      return fail("no duplicate key in the object that ends");
    return true;
  }

  bool array(Json& out, int depth) {
    out.kind = Json::Kind::Array;
    at_++;
    if (take(']')) return true;
    do {
      if (!value(out.items.emplace_back(), depth + 1)) return false;
    } while (take(','));
    return take(']') || fail("',' or ']'");
  }

  bool number(Json& out) {
    const size_t begin = at_;
    const auto digits = [&] {
      const size_t first = at_;
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') at_++;
      return at_ - first;
    };
    if (at_ < text_.size() && text_[at_] == '-') at_++;
    const size_t firstDigit = at_;
    const size_t whole = digits();
    if (whole == 0 || (whole > 1 && text_[firstDigit] == '0')) return fail("a value");
    out.isInteger = true;
    if (at_ < text_.size() && text_[at_] == '.') {
      out.isInteger = false;
      at_++;
      if (digits() == 0) return fail("a digit");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      out.isInteger = false;
      at_++;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) at_++;
      if (digits() == 0) return fail("a digit");
    }
    const std::string digitsText(text_.substr(begin, at_ - begin));
    out.number = std::strtod(digitsText.c_str(), nullptr);
    if (!std::isfinite(out.number)) return fail("a number in the range of a double");
    errno = 0;
    if (out.isInteger) out.integer = std::strtoll(digitsText.c_str(), nullptr, 10);
    if (errno == ERANGE) out.isInteger = false;
    return true;
  }

  bool string(std::string& out) {
    if (at_ >= text_.size() || text_[at_] != '"') return fail("'\"'");
    at_++;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') return at_++, true;
      if (static_cast<unsigned char>(c) < 0x20) return fail("no raw control character in a string");
      at_++;
      if (c != '\\') out.push_back(c);
      else if (!escape(out)) return false;
    }
    return fail("'\"'");
  }

  bool escape(std::string& out) {
    if (at_ >= text_.size()) return fail("an escape");
    const char c = text_[at_++];
    switch (c) {
      case '"':
      case '\\':
      case '/': out.push_back(c); return true;
      case 'b': out.push_back('\b'); return true;
      case 'f': out.push_back('\f'); return true;
      case 'n': out.push_back('\n'); return true;
      case 'r': out.push_back('\r'); return true;
      case 't': out.push_back('\t'); return true;
      case 'u': return unicode(out);
      default: at_--; return fail("an escape");
    }
  }

  bool hex4(uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; i++, at_++) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return fail("four hexadecimal digits");
      out = out * 16 + static_cast<uint32_t>(digit);
    }
    return true;
  }

  bool unicode(std::string& out) {
    uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xD800 && code < 0xDC00) {
      uint32_t low = 0;
      if (text_.substr(at_, 2) != "\\u") return fail("the second half of a surrogate pair");
      at_ += 2;
      if (!hex4(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return fail("the second half of a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      return fail("the first half of a surrogate pair");
    }
    const auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code < 0x80) return put(code), true;
    if (code < 0x800) put(0xC0 | code >> 6);
    else if (code < 0x10000) put(0xE0 | code >> 12);
    else put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 0x3F));
    if (code >= 0x800) put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
    return true;
  }

  std::string_view text_;
  std::string& error_;
  size_t at_ = 0;
};

}  // namespace

bool Json::parse(std::string_view text, Json& out, std::string& error) {
  out = Json();
  return Parser(text, error).document(out);
}

const Json* Json::find(std::string_view key) const {
  const auto before = [](const auto& member, std::string_view wanted) { return member.first < wanted; };
  const auto found = std::lower_bound(members.begin(), members.end(), key, before);
  return found != members.end() && found->first == key ? &found->second : nullptr;
}

}  // namespace espalier::engine
