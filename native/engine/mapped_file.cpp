#include "engine/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace espalier::engine {

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

Status MappedFile::open(const std::string& path, const char* missingCode, MappedFile& out) {
  const auto failed = [&](const std::string& what) {
    Status status = Status::failure(missingCode, path + ": " + what);
    status.file = path;
    return status;
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return failed(std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info{};
  const bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  MappedFile file;
  file.path_ = path;
  void* data = nullptr;
  if (regular && info.st_size > 0)
    data = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  const int mapError = errno;
  close(fd);
  if (!regular) return failed("expected a regular file");
  if (data == MAP_FAILED) return failed(std::string("cannot be mapped: ") + std::strerror(mapError));
  file.data_ = static_cast<uint8_t*>(data);
  file.size_ = static_cast<size_t>(info.st_size);
  out = std::move(file);
  return Status::success();
}

void MappedFile::release(const uint8_t* data, size_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace espalier::engine
