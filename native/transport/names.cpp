#include "transport/link.h"

namespace espalier::transport {
namespace {

const char* typeName(DataType type) {
  static constexpr const char* kNames[] = {"Float32", "Float16", "BFloat16", "Int8",   "Int16",  "Int32",
                                           "Int64",   "Uint8",   "Uint16",   "Uint32", "Uint64", "Complex64"};
  const auto index = static_cast<size_t>(type);
  return index < std::size(kNames) ? kNames[index] : "unknown type";
}

}  // namespace

const char* operationName(Operation operation) {
  switch (operation) {
    case Operation::AllReduce: return "allReduce";
    case Operation::AllGather: return "allGather";
    case Operation::ReduceScatter: return "reduceScatter";
    case Operation::Broadcast: return "broadcast";
    case Operation::Send: return "send";
    case Operation::Receive: return "recv";
    case Operation::Barrier: return "barrier";
    case Operation::Split: return "split";
    case Operation::Goodbye: return "goodbye";
  }
  return "unknown";
}

std::string describeCall(const Header& header) {
  static constexpr const char* kReduceNames[] = {"Sum", "Max", "Min"};
  std::string text = std::string(operationName(header.operation)) + " #" + std::to_string(header.sequence) + " of " +
                     std::to_string(header.callBytes) + " bytes " + typeName(header.type);
  if (header.operation == Operation::AllReduce || header.operation == Operation::ReduceScatter) {
    text += std::string(" ") + kReduceNames[static_cast<size_t>(header.reduce) % 3];
  }
  if (header.operation == Operation::Broadcast) text += " from rank " + std::to_string(header.root);
  return text;
}

const char* linkName(LinkKind kind) {
  switch (kind) {
    case LinkKind::Tcp: return "tcp";
    case LinkKind::SharedMemory: return "shm";
    case LinkKind::Verbs: return "verbs";
  }
  return "";
}

}  // namespace espalier::transport
