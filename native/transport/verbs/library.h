#pragma once
#include <string>

#include "transport/verbs/abi.h"

namespace espalier::transport::verbs {

/// The functions of libibverbs (Linux) or librdma (macOS), looked up at run time: neither is needed to build or to run
/// the program. Loaded once per process and never unloaded, since providers leave threads and mappings behind.
struct Library {
  abi::ibv_device** (*getDeviceList)(int* count);
  void (*freeDeviceList)(abi::ibv_device** list);
  const char* (*getDeviceName)(abi::ibv_device*);
  abi::ibv_context* (*openDevice)(abi::ibv_device*);
  int (*closeDevice)(abi::ibv_context*);
  int (*queryDevice)(abi::ibv_context*, abi::ibv_device_attr*);
  int (*queryPort)(abi::ibv_context*, uint8_t port, abi::ibv_port_attr*);
  int (*queryGid)(abi::ibv_context*, uint8_t port, int index, abi::ibv_gid*);
  abi::ibv_pd* (*allocPd)(abi::ibv_context*);
  int (*deallocPd)(abi::ibv_pd*);
  abi::ibv_mr* (*regMr)(abi::ibv_pd*, void*, size_t bytes, int access);
  int (*deregMr)(abi::ibv_mr*);
  abi::ibv_cq* (*createCq)(abi::ibv_context*, int entries, void* context, abi::ibv_comp_channel*, int vector);
  int (*destroyCq)(abi::ibv_cq*);
  abi::ibv_qp* (*createQp)(abi::ibv_pd*, abi::ibv_qp_init_attr*);
  int (*modifyQp)(abi::ibv_qp*, abi::ibv_qp_attr*, int mask);
  int (*queryQp)(abi::ibv_qp*, abi::ibv_qp_attr*, int mask, abi::ibv_qp_init_attr*);
  int (*destroyQp)(abi::ibv_qp*);
  // Completion events; null where the library has none.
  abi::ibv_comp_channel* (*createChannel)(abi::ibv_context*);
  int (*destroyChannel)(abi::ibv_comp_channel*);
  int (*getCqEvent)(abi::ibv_comp_channel*, abi::ibv_cq**, void** context);
  void (*ackCqEvents)(abi::ibv_cq*, unsigned count);
};

/// The library, or null with the reason. Any thread.
const Library* library(std::string& why);

}  // namespace espalier::transport::verbs
