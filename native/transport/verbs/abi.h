#pragma once
#include <arpa/inet.h>

#include <cstddef>
#include <cstdint>

// The part of the verbs interface that the transport uses. post_send, post_recv, poll_cq and req_notify_cq are no
// symbols of the library: programs call them through the table in the context, so layouts matter.
// On macOS they are taken from the SDK's own header (macOS 26.2 and later): Apple documents its functions, not its
// layouts. On Linux they are written down here, so that the transport builds where no RDMA packages are installed; the
// user-space interface of libibverbs.so.1 is stable, and a test compares every layout with the real header.
#if defined(__APPLE__) && __has_include(<infiniband/verbs.h>)
#include <infiniband/verbs.h>
#define ESPALIER_VERBS_FROM_SDK 1
#endif

namespace espalier::transport::verbs::abi {

inline constexpr int kAccessLocalWrite = 1;
inline constexpr int kTransportThunderbolt = 100;  ///< what Apple's devices say they are

#ifdef ESPALIER_VERBS_FROM_SDK

using ::ibv_ah_attr, ::ibv_comp_channel, ::ibv_context, ::ibv_cq, ::ibv_device, ::ibv_device_attr, ::ibv_gid, ::ibv_mr,
    ::ibv_pd, ::ibv_port_attr, ::ibv_qp, ::ibv_qp_attr, ::ibv_qp_cap, ::ibv_qp_init_attr, ::ibv_recv_wr, ::ibv_send_wr,
    ::ibv_sge, ::ibv_wc;
using ::IBV_MTU_1024, ::IBV_MTU_4096, ::IBV_PORT_ACTIVE, ::IBV_QPS_ERR, ::IBV_QPS_INIT, ::IBV_QPS_RTR, ::IBV_QPS_RTS,
    ::IBV_QPT_UC, ::IBV_SEND_SIGNALED, ::IBV_WR_SEND;
using ::IBV_QP_ACCESS_FLAGS, ::IBV_QP_AV, ::IBV_QP_CAP, ::IBV_QP_DEST_QPN, ::IBV_QP_PATH_MTU, ::IBV_QP_PKEY_INDEX,
    ::IBV_QP_PORT, ::IBV_QP_RQ_PSN, ::IBV_QP_SQ_PSN, ::IBV_QP_STATE;

inline int postSend(ibv_qp* qp, ibv_send_wr* first, ibv_send_wr** bad) { return ::ibv_post_send(qp, first, bad); }
inline int postReceive(ibv_qp* qp, ibv_recv_wr* first, ibv_recv_wr** bad) { return ::ibv_post_recv(qp, first, bad); }
inline int pollCq(ibv_cq* cq, int most, ibv_wc* completions) { return ::ibv_poll_cq(cq, most, completions); }
/// Apple documents SEND alone.
inline void setImmediate(ibv_send_wr& request, uint32_t) { request.opcode = IBV_WR_SEND; }
inline bool immediateOf(const ibv_wc&, uint32_t&) { return false; }
/// Apple documents no completion events; a wait sleeps briefly instead.
inline bool requestNotification(ibv_cq*) { return false; }

#else

enum : int { IBV_QPS_RESET, IBV_QPS_INIT, IBV_QPS_RTR, IBV_QPS_RTS, IBV_QPS_ERR = 6 };
enum : int { IBV_QPT_UC = 3 };
enum : int { IBV_PORT_ACTIVE = 4 };
enum : int { IBV_MTU_1024 = 3, IBV_MTU_4096 = 5 };
enum : int { IBV_WR_SEND = 2, IBV_WR_SEND_WITH_IMM = 3 };
enum : unsigned { IBV_SEND_SIGNALED = 1u << 1 };
enum : int { IBV_WC_SUCCESS = 0 };
enum : int { IBV_WC_RECV = 1 << 7 };
enum : int {
  IBV_QP_STATE = 1 << 0,
  IBV_QP_ACCESS_FLAGS = 1 << 3,
  IBV_QP_PKEY_INDEX = 1 << 4,
  IBV_QP_PORT = 1 << 5,
  IBV_QP_AV = 1 << 7,
  IBV_QP_PATH_MTU = 1 << 8,
  IBV_QP_RQ_PSN = 1 << 12,
  IBV_QP_SQ_PSN = 1 << 16,
  IBV_QP_CAP = 1 << 19,
  IBV_QP_DEST_QPN = 1 << 20,
};

union ibv_gid {
  uint8_t raw[16];
  uint64_t words[2];
};

struct ibv_context;
struct ibv_qp;
struct ibv_cq;
struct ibv_sge {
  uint64_t addr;
  uint32_t length, lkey;
};
struct ibv_send_wr {
  uint64_t wr_id;
  ibv_send_wr* next;
  ibv_sge* sg_list;
  int num_sge, opcode;
  unsigned send_flags;
  uint32_t imm_data;
  uint64_t unused[11];  ///< for RDMA, atomics, datagrams, memory windows
};
struct ibv_recv_wr {
  uint64_t wr_id;
  ibv_recv_wr* next;
  ibv_sge* sg_list;
  int num_sge;
};
struct ibv_wc {
  uint64_t wr_id;
  int status, opcode;
  uint32_t vendor_err, byte_len, imm_data, qp_num, src_qp;
  unsigned wc_flags;
  uint16_t pkey_index, slid;
  uint8_t sl, dlid_path_bits;
};

/// The table's slots that are filled; the others belong to older versions of the library.
struct Operations {
  void* before[11];
  int (*poll_cq)(ibv_cq*, int most, ibv_wc*);
  int (*req_notify_cq)(ibv_cq*, int solicitedOnly);
  void* between[12];
  int (*post_send)(ibv_qp*, ibv_send_wr*, ibv_send_wr** bad);
  int (*post_recv)(ibv_qp*, ibv_recv_wr*, ibv_recv_wr** bad);
  void* after[5];
};
struct ibv_device {
  void* opsUnused[2];
  int node_type, transport_type;
  char name[64];
};
struct ibv_context {
  ibv_device* device;
  Operations ops;
  int cmd_fd, async_fd, num_comp_vectors;
};
struct ibv_pd {
  ibv_context* context;
  uint32_t handle;
};
struct ibv_comp_channel {
  ibv_context* context;
  int fd, refcnt;
};
struct ibv_mr {
  ibv_context* context;
  ibv_pd* pd;
  void* addr;
  size_t length;
  uint32_t handle, lkey, rkey;
};
struct ibv_cq {
  ibv_context* context;
  ibv_comp_channel* channel;
  void* cq_context;
  uint32_t handle;
  int cqe;
};
struct ibv_qp {
  ibv_context* context;
  void* qp_context;
  ibv_pd* pd;
  ibv_cq *send_cq, *recv_cq;
  void* srq;
  uint32_t handle, qp_num;
};
struct ibv_qp_cap {
  uint32_t max_send_wr, max_recv_wr, max_send_sge, max_recv_sge, max_inline_data;
};
struct ibv_qp_init_attr {
  void* qp_context;
  ibv_cq *send_cq, *recv_cq;
  void* srq;
  ibv_qp_cap cap;
  int qp_type, sq_sig_all;
};
struct GlobalRoute {
  ibv_gid dgid;
  uint32_t flow_label;
  uint8_t sgid_index, hop_limit, traffic_class;
};
struct ibv_ah_attr {
  GlobalRoute grh;
  uint16_t dlid;
  uint8_t sl, src_path_bits, static_rate, is_global, port_num;
};
struct ibv_qp_attr {
  int qp_state, cur_qp_state, path_mtu, path_mig_state;
  uint32_t qkey, rq_psn, sq_psn, dest_qp_num;
  unsigned qp_access_flags;
  ibv_qp_cap cap;
  ibv_ah_attr ah_attr, alt_ah_attr;
  uint16_t pkey_index, alt_pkey_index;
  uint8_t en_sqd_async_notify, sq_draining, max_rd_atomic, max_dest_rd_atomic, min_rnr_timer, port_num, timeout,
      retry_cnt, rnr_retry, alt_port_num, alt_timeout;
  uint32_t rate_limit;
};
struct ibv_port_attr {
  int state, max_mtu, active_mtu, gid_tbl_len;
  uint32_t port_cap_flags, max_msg_sz, bad_pkey_cntr, qkey_viol_cntr;
  uint16_t pkey_tbl_len, lid, sm_lid;
  uint8_t lmc, max_vl_num, sm_sl, subnet_timeout, init_type_reply, active_width, active_speed, phys_state, link_layer,
      flags;
  uint16_t port_cap_flags2;
};
struct ibv_device_attr {
  char fw_ver[64];
  uint64_t node_guid, sys_image_guid, max_mr_size, page_size_cap;
  uint32_t vendor_id, vendor_part_id, hw_ver;
  int max_qp, max_qp_wr;
  unsigned device_cap_flags;
  int max_sge, max_sge_rd, max_cq, max_cqe, max_mr, max_pd;
  int unused[20];
  uint16_t max_pkeys;
  uint8_t local_ca_ack_delay, phys_port_cnt;
};
inline int postSend(ibv_qp* qp, ibv_send_wr* first, ibv_send_wr** bad) {
  return qp->context->ops.post_send(qp, first, bad);
}
inline int postReceive(ibv_qp* qp, ibv_recv_wr* first, ibv_recv_wr** bad) {
  return qp->context->ops.post_recv(qp, first, bad);
}
inline int pollCq(ibv_cq* cq, int most, ibv_wc* completions) {
  return cq->context->ops.poll_cq(cq, most, completions);
}
/// Makes the request carry 32 bits beside its data.
inline void setImmediate(ibv_send_wr& request, uint32_t value) {
  request.opcode = IBV_WR_SEND_WITH_IMM;
  request.imm_data = htonl(value);
}
/// False: there are none.
inline bool immediateOf(const ibv_wc& completion, uint32_t& value) {
  constexpr unsigned kWithImmediate = 1u << 1;
  value = ntohl(completion.imm_data);
  return (completion.wc_flags & kWithImmediate) != 0;
}
inline bool requestNotification(ibv_cq* cq) { return cq->context->ops.req_notify_cq(cq, 0) == 0; }

#endif

}  // namespace espalier::transport::verbs::abi
