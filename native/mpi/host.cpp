#include "mpi/host.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include <cerrno>
#include <cstring>

#include "transport/auth/sha256.h"
#include "transport/wire/resolve.h"

namespace espalier::mpi {
namespace {

constexpr off_t kMaxFileBytes = 4096;

using transport::Socket;

Status wrongFile(const std::string& path, const std::string& what) {
  Status status = Status::failure("InvalidArgument", path + " " + what);
  status.file = path;
  return status;
}

}  // namespace

std::string hostIdOfThisMachine() {
  char text[128] = {};
#if defined(__APPLE__)
  size_t length = sizeof text - 1;
  if (sysctlbyname("kern.bootsessionuuid", text, &length, nullptr, 0) == 0 && text[0] != 0) return text;
#else
  const Socket file(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  const auto got = file.valid() ? read(file.fd(), text, sizeof text - 1) : 0;
  if (got > 1) return std::string(text, static_cast<size_t>(got) - 1);  // without the newline
#endif
  return gethostname(text, sizeof text - 1) == 0 ? text : "";
}

std::string ownAddressTowards(const std::string& host, uint16_t port, transport::Deadline deadline, std::string& trouble) {
  const transport::AddressList found = transport::resolve(host, port, 0, deadline, -1, trouble);
  std::string address;
  for (const addrinfo* one = found.get(); one != nullptr && address.empty(); one = one->ai_next) {
    const Socket socket = transport::newSocket(one->ai_family, SOCK_DGRAM);
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST];
    if (!socket.valid() || connect(socket.fd(), one->ai_addr, one->ai_addrlen) != 0 ||
        getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&own), &length) != 0 ||
        getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) {
      continue;
    }
    address = text;
  }
  return address;
}

std::string randomSecret() {
  transport::Digest bytes;
  if (!transport::randomNonce(bytes)) return "";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Status readPrivateFile(const std::string& path, std::string& content, bool& missing) {
  const Socket file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  missing = !file.valid() && errno == ENOENT;
  if (!file.valid()) return wrongFile(path, "cannot be read: " + transport::errnoText(errno));
  struct stat facts;
  if (fstat(file.fd(), &facts) != 0 || !S_ISREG(facts.st_mode)) return wrongFile(path, "is not a regular file");
  if (facts.st_uid != geteuid()) return wrongFile(path, "belongs to another user");
  if ((facts.st_mode & 077) != 0) return wrongFile(path, "can be read by others; set its mode to 600");
  if (facts.st_size > kMaxFileBytes) return wrongFile(path, "is longer than 4096 bytes");
  content.resize(static_cast<size_t>(facts.st_size));
  if (read(file.fd(), content.data(), content.size()) != facts.st_size) return wrongFile(path, "cannot be read whole");
  return Status::success();
}

}  // namespace espalier::mpi
