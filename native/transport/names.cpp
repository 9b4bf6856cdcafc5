#include "transport/link.h"

namespace espalier::transport {

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

const char* linkName(LinkKind kind) {
  switch (kind) {
    case LinkKind::Tcp: return "tcp";
    case LinkKind::SharedMemory: return "shm";
    case LinkKind::Verbs: return "verbs";
  }
  return "";
}

}  // namespace espalier::transport
