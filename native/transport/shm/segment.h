#pragma once
#include <cstddef>
#include <string>

#include "status.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

/// Memory shared by two processes of one host. Nothing of it has a name that could outlive its users: on Linux it
/// is an anonymous file that the peer opens through its creator's /proc entry; elsewhere a POSIX segment with an
/// unpredictable name that is unlinked as soon as the peer has mapped it, or given up.
class Segment {
 public:
  Segment() = default;
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&& other) noexcept;
  ~Segment();

  static Status create(size_t bytes, Segment& segment);
  static Status open(const std::string& name, size_t bytes, Segment& segment);
  /// What the peer gives to open(). Empty after seal().
  const std::string& name() const { return name_; }
  /// The peer has it: drop the way in.
  void seal();
  void* data() const { return data_; }

 private:
  void release();

  void* data_ = nullptr;
  size_t bytes_ = 0;
  Socket file_;
  std::string name_;
  bool linked_ = false;
};

}  // namespace espalier::transport
