#include "transport/wire/resolve.h"

#include <poll.h>
#include <sys/socket.h>

#include <atomic>

#include "transport/silent_thread.h"

namespace espalier::transport {
namespace {

int lookUp(const std::string& host, uint16_t port, int flags, AddressList& found) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  const int code = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code == 0) found.reset(list);
  return code;
}

/// What a thread and whoever waits for it share.
struct Lookup {
  int code = 0;
  AddressList found{nullptr, &freeaddrinfo};
  std::atomic<bool> done{false};
  WakePipe wake;
};

}  // namespace

AddressList resolve(const std::string& host, uint16_t port, int flags, Deadline deadline, int wakeFd, std::string& error) {
  AddressList found(nullptr, &freeaddrinfo);
  int code = lookUp(host, port, flags | AI_NUMERICHOST, found);
  if (code == EAI_NONAME) {
    // No address, so a name. getaddrinfo has no deadline: where name servers are silent it takes up to a minute. The
    // thread ends when it has given up.
    const auto lookup = std::make_shared<Lookup>();
    startSilentThread([lookup, host, port, flags] {
      lookup->code = lookUp(host, port, flags, lookup->found);
      lookup->done.store(true, std::memory_order_release);
      lookup->wake.raise();
    }).detach();
    waitFor(lookup->wake.fd(), POLLIN, deadline, wakeFd);
    if (!lookup->done.load(std::memory_order_acquire)) {
      error = "no name server has said in time which address that is; see to them, or give the address itself";
      return found;
    }
    code = lookup->code;
    found = std::move(lookup->found);
  }
  if (code != 0) error = gai_strerror(code);
  return found;
}

}  // namespace espalier::transport
