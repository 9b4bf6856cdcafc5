#pragma once
#include <string>

#include "status.h"
#include "transport/auth/sha256.h"
#include "transport/wire/conversation.h"

namespace espalier::transport {

inline constexpr uint16_t kWireVersion = 5;

/// What other ranks need to know of a rank in order to build links to it.
struct Member {
  std::string hostId;
  uint8_t linkMask = 0;  ///< bit per LinkKind
  std::string dataHost;
  uint16_t dataPort = 0;
  uint64_t wires = ~uint64_t{0};  ///< bit per rank that this one has a wire to
  uint16_t relayPort = 0;         ///< where it joins ranks that have none
  uint16_t livenessTimeoutMs = 0;

  void write(ByteWriter& writer) const;
  static Member read(ByteReader& reader);
};

enum class Purpose : uint8_t { Join, Data, Relay };

/// Who dials and what for.
struct Hello {
  Purpose purpose = Purpose::Join;
  int rank = 0;
  int size = 0;
  uint64_t epoch = 0;
  Member member;
};

// The dialer sends Hello (with a nonce), the acceptor answers Challenge (its nonce and its proof), the dialer
// answers Proof, the acceptor answers Verdict. A proof is an HMAC under the secret over both nonces and the whole
// Hello, with a label per direction, so it can be neither replayed nor reflected, and nothing in Hello altered.

/// RendezvousTimeout: what was said did not get through.
Status handshakeTooLate();

/// The dialer's side. Success: admitted. Fails with WrongSecret, with whatever the acceptor refuses (FrameCorrupt: what
/// this end said came damaged), or as the conversation does.
Status introduce(const Conversation& talk, const std::string& secret, const Hello& hello);

/// The acceptor's side of one connection, fed frame by frame.
class Examination {
 public:
  enum class Outcome : uint8_t { Continue, Proved, Refused };
  /// Consumes one frame, answers it on `fd`. Proved: hello() is to be believed, and a verdict is owed.
  Outcome consume(int fd, const Frame& frame, const std::string& secret);
  const Hello& hello() const { return hello_; }
  /// Why the dialer was refused; success if it does not even speak the protocol.
  const Status& verdict() const { return verdict_; }
  bool challenged() const { return challenged_; }

 private:
  Outcome challenge(int fd, const Frame& frame, const std::string& secret);
  Outcome refuse(int fd, Status verdict);

  bool challenged_ = false;
  Bytes helloBytes_;
  Digest nonce_{};
  Hello hello_;
  Status verdict_;
};

/// Tells the dialer that it is admitted (success) or why not.
bool sendVerdict(int fd, const Status& verdict);
/// Waits for it. Fails as it says, or as the conversation does.
Status hearVerdict(const Conversation& talk);
/// Status in a frame, as Verdict and Failure carry it.
void writeStatus(ByteWriter& writer, const Status& status);
Status readStatus(ByteReader& reader);

}  // namespace espalier::transport
