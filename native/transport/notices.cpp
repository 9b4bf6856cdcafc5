#include "transport/notices.h"

namespace espalier::transport {

std::string printable(std::string text, size_t maxBytes) {
  if (text.size() > maxBytes) text = text.substr(0, maxBytes - 3) + "...";
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

void Notices::tell(const std::string& key, std::string text) {
  if (callback_ == nullptr) return;
  const std::lock_guard lock(mutex_);
  if (told_.size() > kMaxNotices || !told_.insert(key).second) return;
  if (told_.size() > kMaxNotices) text = "there is more to say than this group's notices have room for; the rest is left out";
  callback_(printable(std::move(text), kMaxNoticeBytes).c_str(), context_);
}

}  // namespace espalier::transport
