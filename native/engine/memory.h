#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

namespace espalier::engine {

/// Zeroed pages that become resident only when touched; freed by the destructor. Movable, not copyable.
class Pages {
 public:
  Pages() = default;
  Pages(Pages&& other) noexcept { *this = std::move(other); }
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();

  /// False when the system refuses; `out` is then unchanged.
  static bool allocate(size_t bytes, Pages& out);

  /// Asks for huge pages where they pay: memory that is filled at once and read in order.
  void useHugePages();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace espalier::engine
