#pragma once
#include <mutex>
#include <set>
#include <string>

#include "transport/group.h"

namespace espalier::transport {

/// Of printable ASCII alone, and cut to `maxBytes`: for words that came from a stranger.
std::string printable(std::string text, size_t maxBytes);

/// Tells the operator what he should know though the group goes on (GroupOptions::onNotice). Any thread.
class Notices {
 public:
  Notices() = default;
  explicit Notices(const GroupOptions& options) : callback_(options.onNotice), context_(options.onNoticeContext) {}

  /// The first text per `key` goes out, the others do not: a key is a cause and whom it concerns. Text is cut to
  /// kMaxNoticeBytes and cleared of anything that is not printable, since some of it comes from strangers. After
  /// kMaxNotices a last one says that no more will come.
  void tell(const std::string& key, std::string text);

  static constexpr size_t kMaxNotices = 64;
  static constexpr size_t kMaxNoticeBytes = 400;

 private:
  void (*callback_)(const char*, void*) = nullptr;
  void* context_ = nullptr;
  std::mutex mutex_;
  std::set<std::string> told_;
};

}  // namespace espalier::transport
