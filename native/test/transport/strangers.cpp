#include "test/transport/strangers.h"

#include <algorithm>

namespace espalier::test {

void Notebook::attachTo(GroupOptions& options) {
  options.onNoticeContext = this;
  options.onNotice = [](const char* text, void* context) {
    auto* self = static_cast<Notebook*>(context);
    const std::lock_guard lock(self->mutex_);
    self->lines_.emplace_back(text);
  };
}

std::vector<std::string> Notebook::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

int Notebook::count(const std::string& part) const {
  const auto all = lines();
  return static_cast<int>(std::count_if(
      all.begin(), all.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
}

transport::Socket knock(Board* board) {
  transport::Socket socket;
  CHECK_OK(transport::dialOnce("127.0.0.1", static_cast<uint16_t>(board->port), transport::deadlineAfterMs(10'000), -1,
                               socket));
  return socket;
}

void say(const transport::Socket& socket, transport::ByteView bytes) {
  CHECK(transport::sendSome(socket.fd(), bytes.data(), bytes.size()) == static_cast<int64_t>(bytes.size()));
}

void formDespite(const std::function<void(Board*)>& intrude, Notebook& notebook) {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    if (rank == 2) {
      eventually("rank 0 listens", 10, [&] { return board->port != 0; });
      intrude(board.get());
      board->marks[0] = 1;
      return;
    }
    if (rank == 1) eventually("the intruder is through", 20, [&] { return board->marks[0] != 0; });
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    options.rendezvousTimeoutMs = 20'000;
    if (rank == 0) notebook.attachTo(options);
    CHECK_OK(join(options)->barrier());
  });
  for (const std::string& line : notebook.lines()) {
    CHECK(line.size() <= 400);
    CHECK(line.find("a secret for tests") == std::string::npos);
    CHECK(line.find("127.0.0.1:") != std::string::npos);
  }
}

void formDespite(const std::function<void(Board*)>& intrude) {
  Notebook notebook;
  formDespite(intrude, notebook);
}

}  // namespace espalier::test
