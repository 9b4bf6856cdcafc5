#include "engine/memory.h"

#include <sys/mman.h>

namespace espalier::engine {

// Below this a huge page would hold more padding than data.
constexpr size_t kHugePageWorthBytes = size_t{8} << 20;

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, size_);
}

bool Pages::allocate(size_t bytes, Pages& out) {
  Pages pages;
  if (bytes > 0) {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return false;
    pages.data_ = static_cast<uint8_t*>(data);
    pages.size_ = bytes;
  }
  out = std::move(pages);
  return true;
}

void Pages::useHugePages() {
#ifdef MADV_HUGEPAGE
  if (size_ >= kHugePageWorthBytes) madvise(data_, size_, MADV_HUGEPAGE);
#endif
}

}  // namespace espalier::engine
