#include "transport/shm/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "transport/auth/sha256.h"
#include "transport/failure.h"

namespace espalier::transport {
namespace {

Status unavailable(const char* what, int error) {
  return failure("LinkUnavailable", std::string("shared memory: ") + what + ": " + errnoText(error), -1, "shm");
}

Status map(int fd, size_t bytes, void** data) {
  *data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (*data != MAP_FAILED) return Status::success();
  *data = nullptr;
  return unavailable("mmap", errno);
}

}  // namespace

Segment::Segment(Segment&& other) noexcept { *this = std::move(other); }

Segment& Segment::operator=(Segment&& other) noexcept {
  if (this == &other) return *this;
  release();
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = other.bytes_;
  file_ = std::move(other.file_);
  name_ = std::exchange(other.name_, {});
  linked_ = std::exchange(other.linked_, false);
  return *this;
}

Segment::~Segment() { release(); }

void Segment::release() {
  seal();
  if (data_ != nullptr) munmap(data_, bytes_);
  data_ = nullptr;
}

void Segment::seal() {
  if (linked_) shm_unlink(name_.c_str());
  linked_ = false;
  name_.clear();
  file_.close();
}

Status Segment::create(size_t bytes, Segment& segment) {
  Segment fresh;
#ifdef __linux__
  fresh.file_ = Socket(memfd_create("espalier", MFD_CLOEXEC));
  if (!fresh.file_.valid()) return unavailable("memfd_create", errno);
  fresh.name_ = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fresh.file_.fd());
#else
  Digest nonce;
  if (!randomNonce(nonce)) return unavailable("random name", ENOSYS);
  fresh.name_ = "/esp-";  // macOS allows 31 characters
  for (int i = 0; i < 12; ++i) {
    fresh.name_ += "0123456789abcdef"[nonce[i] >> 4];
    fresh.name_ += "0123456789abcdef"[nonce[i] & 15];
  }
  fresh.file_ = Socket(shm_open(fresh.name_.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600));
  if (!fresh.file_.valid()) return unavailable("shm_open", errno);
  fresh.linked_ = true;
#endif
  rlimit limit{};
  // Beyond it the process would be killed (SIGXFSZ).
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes) return unavailable("limit of files (ulimit -f)", EFBIG);
  if (ftruncate(fresh.file_.fd(), static_cast<off_t>(bytes)) != 0) return unavailable("ftruncate", errno);
  fresh.bytes_ = bytes;
  const Status status = map(fresh.file_.fd(), bytes, &fresh.data_);
  if (status.ok()) segment = std::move(fresh);
  return status;
}

Status Segment::open(const std::string& name, size_t bytes, Segment& segment) {
#ifdef __linux__
  // Where process ids mean something else (another container), the entry may be any file: do not even open that.
  char target[32] = {};
  if (readlink(name.c_str(), target, sizeof target - 1) < 0) return unavailable("readlink", errno);
  if (!std::string(target).starts_with("/memfd:espalier")) return unavailable("name", EINVAL);
  const Socket file(::open(name.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
#else
  const Socket file(shm_open(name.c_str(), O_RDWR, 0600));
#endif
  if (!file.valid()) return unavailable("open", errno);
  struct stat facts{};
  if (fstat(file.fd(), &facts) != 0) return unavailable("fstat", errno);
  // macOS rounds a segment up to whole pages.
  if (facts.st_size < static_cast<off_t>(bytes)) return unavailable("size", EINVAL);
  Segment fresh;
  fresh.bytes_ = bytes;
  const Status status = map(file.fd(), bytes, &fresh.data_);
  if (status.ok()) segment = std::move(fresh);
  return status;
}

}  // namespace espalier::transport
