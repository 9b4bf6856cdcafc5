#include "transport/rendezvous/handshake.h"

#include <cstring>

#include "transport/failure.h"
#include "transport/notices.h"

namespace espalier::transport {
namespace {

ByteView viewOf(const std::string& text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }

Digest proof(const std::string& secret, const char* label, const Digest& acceptorNonce, ByteView helloBytes) {
  ByteWriter writer;
  writer.putText(label);
  writer.putRaw(acceptorNonce);
  writer.putRaw(helloBytes);  // holds the dialer's nonce
  return hmacSha256(viewOf(secret), writer.bytes());
}

constexpr const char* kAcceptorLabel = "espalier acceptor";
constexpr const char* kDialerLabel = "espalier dialer";

Bytes encode(const Hello& hello, const Digest& nonce) {
  ByteWriter writer;
  writer.put(kWireVersion);
  writer.putRaw(nonce);
  writer.put(static_cast<uint8_t>(hello.purpose));
  writer.put(static_cast<int32_t>(hello.rank));
  writer.put(static_cast<int32_t>(hello.size));
  writer.put(hello.epoch);
  hello.member.write(writer);
  return writer.bytes();
}

Status readVerdict(const Frame& frame) {
  ByteReader reader(frame.payload);
  Status verdict = readStatus(reader);
  return reader.ok() ? verdict : damaged();
}

}  // namespace

void Member::write(ByteWriter& writer) const {
  writer.putText(hostId);
  writer.put(linkMask);
  writer.putText(dataHost);
  writer.put(dataPort);
  writer.put(wires);
  writer.put(relayPort);
  writer.put(livenessTimeoutMs);
}

Member Member::read(ByteReader& reader) {
  Member member;
  member.hostId = reader.getText();
  member.linkMask = reader.get<uint8_t>();
  member.dataHost = reader.getText();
  member.dataPort = reader.get<uint16_t>();
  member.wires = reader.get<uint64_t>();
  member.relayPort = reader.get<uint16_t>();
  member.livenessTimeoutMs = reader.get<uint16_t>();
  return member;
}

Status handshakeTooLate() {
  return failure("RendezvousTimeout", "the handshake was not finished in time, though the connection stands");
}

Status introduce(const Conversation& talk, const std::string& secret, const Hello& hello) {
  Digest nonce;
  if (!randomNonce(nonce)) return failure("RendezvousRefused", "this host offers no random numbers");
  const Bytes helloBytes = encode(hello, nonce);
  Frame frame;
  Status status = talk.say(FrameType::Hello, helloBytes);
  if (status.ok()) status = talk.hear(frame);
  if (!status.ok()) return status;
  if (frame.type == FrameType::Verdict) {
    // Before it has proved anything it may refuse (a rank of another version), but not admit, nor blame anybody.
    const Status verdict = readVerdict(frame);
    if (verdict.ok() || verdict.code == "FrameCorrupt") return damaged();
    if (verdict.code == handshakeTooLate().code) return handshakeTooLate();
    return failure("RendezvousRefused", printable(verdict.message, Notices::kMaxNoticeBytes));
  }
  if (frame.type != FrameType::Challenge) return damaged();
  ByteReader challenge(frame.payload);
  Digest acceptorNonce, acceptorProof;
  challenge.getRaw(acceptorNonce);
  challenge.getRaw(acceptorProof);
  if (!challenge.ok()) return damaged();
  if (!sameDigest(acceptorProof, proof(secret, kAcceptorLabel, acceptorNonce, helloBytes))) {
    return failure("WrongSecret", "the other side does not hold this group's secret; give every rank the same one");
  }

  status = talk.say(FrameType::Proof, proof(secret, kDialerLabel, acceptorNonce, helloBytes));
  return status.ok() ? hearVerdict(talk) : status;
}

Examination::Outcome Examination::consume(int fd, const Frame& frame, const std::string& secret) {
  if (!challenged_) return challenge(fd, frame, secret);
  if (frame.type != FrameType::Proof || frame.payload.size() != Digest{}.size()) return Outcome::Refused;
  Digest given;
  std::memcpy(given.data(), frame.payload.data(), given.size());
  if (!sameDigest(given, proof(secret, kDialerLabel, nonce_, helloBytes_))) {
    return refuse(fd, failure("WrongSecret", "its proof does not match this group's secret: it holds another one, or "
                                             "replays what it overheard"));
  }
  return Outcome::Proved;
}

Examination::Outcome Examination::challenge(int fd, const Frame& frame, const std::string& secret) {
  if (frame.type != FrameType::Hello) return Outcome::Refused;
  helloBytes_ = frame.payload;
  ByteReader reader(helloBytes_);
  const auto version = reader.get<uint16_t>();
  if (version != kWireVersion) {
    return refuse(fd, failure("RendezvousRefused", "this group speaks transport version " +
                                                     std::to_string(kWireVersion) + ", the rank that joins speaks " +
                                                     std::to_string(version) + "; run one release on all nodes"));
  }
  Digest dialerNonce;
  reader.getRaw(dialerNonce);
  hello_.purpose = static_cast<Purpose>(reader.get<uint8_t>());
  hello_.rank = reader.get<int32_t>();
  hello_.size = reader.get<int32_t>();
  hello_.epoch = reader.get<uint64_t>();
  hello_.member = Member::read(reader);
  if (!reader.ok() || !randomNonce(nonce_)) return Outcome::Refused;
  ByteWriter answer;
  answer.putRaw(nonce_);
  answer.putRaw(proof(secret, kAcceptorLabel, nonce_, helloBytes_));
  challenged_ = true;
  return sendFrame(fd, FrameType::Challenge, answer.bytes()) ? Outcome::Continue : Outcome::Refused;
}

Examination::Outcome Examination::refuse(int fd, Status verdict) {
  sendVerdict(fd, verdict);
  verdict_ = std::move(verdict);
  return Outcome::Refused;
}

bool sendVerdict(int fd, const Status& verdict) {
  ByteWriter writer;
  writeStatus(writer, verdict);
  return sendFrame(fd, FrameType::Verdict, writer.bytes());
}

Status hearVerdict(const Conversation& talk) {
  Frame frame;
  const Status status = talk.hear(FrameType::Verdict, frame);
  return status.ok() ? readVerdict(frame) : status;
}

void writeStatus(ByteWriter& writer, const Status& status) {
  writer.putText(status.code);
  writer.putText(status.message);
  writer.put(static_cast<int32_t>(status.rank));
  writer.putText(status.link);
}

Status readStatus(ByteReader& reader) {
  Status status;
  status.code = reader.getText();
  status.message = reader.getText();
  status.rank = reader.get<int32_t>();
  status.link = reader.getText();
  return status;
}

}  // namespace espalier::transport
