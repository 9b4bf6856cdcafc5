#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace espalier::transport {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

class ByteWriter {
 public:
  template <class T>
    requires std::is_integral_v<T>
  void put(T value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof(T));
  }
  void putText(const std::string& text) {
    const auto length = static_cast<uint16_t>(text.size() < 4096 ? text.size() : 4096);
    put(length);
    bytes_.insert(bytes_.end(), text.begin(), text.begin() + length);
  }
  void putRaw(ByteView raw) { bytes_.insert(bytes_.end(), raw.begin(), raw.end()); }
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

/// Reads what ByteWriter wrote. Past the end it yields zeros and ok() turns false: check once, at the end.
class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  template <class T>
    requires std::is_integral_v<T>
  T get() {
    T value{};
    if (take(sizeof(T))) std::memcpy(&value, bytes_.data() + at_ - sizeof(T), sizeof(T));
    return value;
  }
  std::string getText() {
    const auto length = get<uint16_t>();
    if (!take(length)) return {};
    return {reinterpret_cast<const char*>(bytes_.data()) + at_ - length, length};
  }
  void getRaw(std::span<uint8_t> into) {
    if (take(into.size())) std::memcpy(into.data(), bytes_.data() + at_ - into.size(), into.size());
  }
  bool ok() const { return ok_; }

 private:
  bool take(size_t count) {
    if (!ok_ || bytes_.size() - at_ < count) return ok_ = false;
    at_ += count;
    return true;
  }

  ByteView bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace espalier::transport
