#pragma once
#include <string>

namespace espalier::transport::verbs {

/// What was being done when verbs failed: the same errno means something else at each.
enum class Step : unsigned char {
  Library,          ///< opening libibverbs
  Devices,          ///< finding the device of a cable
  Open,             ///< ibv_open_device
  Port,             ///< ibv_query_port, or a port that is not active
  Gid,              ///< finding an address
  Domain,           ///< ibv_alloc_pd
  Memory,           ///< mmap, ibv_reg_mr
  CompletionQueue,  ///< ibv_create_cq
  QueuePair,        ///< ibv_create_qp
  Init,             ///< ibv_modify_qp to INIT
  ReadyToReceive,   ///< ibv_modify_qp to RTR
  ReadyToSend,      ///< ibv_modify_qp to RTS
  PostReceive,
  PostSend,
  Completion,  ///< `error` is a completion's status, no errno
  Probe,       ///< first frames over a new queue pair
  Peer,        ///< the other end of the cable gave up
};

/// A failure as an operator needs it: a word for programs, what it means, what to do.
struct Reason {
  const char* code;
  const char* meaning;
  const char* remedy;
  bool lasting = true;  ///< trying again without the remedy is of no use
};

/// What `error` means at `step`. Apple's numbers are from its technical note TN3205 and from reports of MLX users
/// (ml-explore/mlx #3162, #3207, #3389, #3467, #4209); Linux numbers from the kernel.
Reason reasonFor(Step step, int error);

/// "verbs PortDown on rdma_en3: …; do this", one line. `error` 0: not mentioned.
std::string explain(Step step, int error, const std::string& device, const std::string& detail = "");

}  // namespace espalier::transport::verbs
