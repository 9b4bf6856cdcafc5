#include "support/groups.h"

#include <future>
#include <thread>

#include "support/test.h"

namespace espalier::test {

std::vector<std::unique_ptr<transport::Group>> makeGroups(int size) {
  std::vector<std::unique_ptr<transport::Group>> groups(static_cast<size_t>(size));
  std::promise<uint16_t> bound;
  const std::shared_future<uint16_t> port = bound.get_future().share();
  const auto join = [&](int rank) {
    transport::GroupOptions options;
    options.rank = rank;
    options.size = size;
    options.secret = "tests";
    options.hostId = "here";
    options.rendezvousPort = rank == 0 ? 0 : port.get();
    options.onListening = [](uint16_t at, void* context) {
      static_cast<std::promise<uint16_t>*>(context)->set_value(at);
    };
    options.onListeningContext = &bound;
    Status status;
    groups[static_cast<size_t>(rank)] = transport::Group::create(options, status);
    CHECK_EQUAL(status.message, "");
  };
  std::vector<std::thread> threads;
  for (int rank = 1; rank < size; rank++) threads.emplace_back(join, rank);
  join(0);
  for (std::thread& thread : threads) thread.join();
  return groups;
}

}  // namespace espalier::test
