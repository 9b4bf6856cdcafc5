#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "status.h"

namespace espalier::engine {

/// A whole file mapped read-only; unmapped by the destructor. Movable, not copyable.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  /// `missingCode` is the code of the Status when the file is absent or cannot be read.
  static Status open(const std::string& path, const char* missingCode, MappedFile& out);

  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// Gives the resident pages of [data, data + bytes) back to the page cache; they can be read again.
  static void release(const uint8_t* data, size_t bytes);

 private:
  std::string path_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace espalier::engine
