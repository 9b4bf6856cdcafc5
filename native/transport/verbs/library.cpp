#include "transport/verbs/library.h"

#include <dlfcn.h>

#include <cerrno>

#include "transport/verbs/reasons.h"

namespace espalier::transport::verbs {
namespace {

struct Loaded {
  Library functions{};
  std::string why;
  bool ok = false;

  Loaded() {
#if defined(__APPLE__) && !defined(ESPALIER_VERBS_FROM_SDK)
    why = explain(Step::Devices, ENOSYS, "");
#else
#ifdef __APPLE__
    static constexpr const char* kNames[] = {"librdma.dylib", "/usr/lib/librdma.dylib"};
#else
    static constexpr const char* kNames[] = {"libibverbs.so.1"};
#endif
    void* handle = nullptr;
    std::string error;
    for (const char* name : kNames) {
      if (handle == nullptr) handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (handle == nullptr) error = dlerror();
    }
    if (handle == nullptr) {
      why = explain(Step::Library, 0, "", error);
      return;
    }
    ok = lookUp(handle);
#endif
  }

  bool lookUp(void* handle) {
    const auto find = [&](auto& function, const char* name, bool optional = false) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      if (function == nullptr && !optional && why.empty()) why = explain(Step::Library, 0, "", std::string("it has no ") + name);
    };
    find(functions.getDeviceList, "ibv_get_device_list");
    find(functions.freeDeviceList, "ibv_free_device_list");
    find(functions.getDeviceName, "ibv_get_device_name");
    find(functions.openDevice, "ibv_open_device");
    find(functions.closeDevice, "ibv_close_device");
    find(functions.queryDevice, "ibv_query_device");
    find(functions.queryPort, "ibv_query_port");
    find(functions.queryGid, "ibv_query_gid");
    find(functions.allocPd, "ibv_alloc_pd");
    find(functions.deallocPd, "ibv_dealloc_pd");
    find(functions.regMr, "ibv_reg_mr");
    find(functions.deregMr, "ibv_dereg_mr");
    find(functions.createCq, "ibv_create_cq");
    find(functions.destroyCq, "ibv_destroy_cq");
    find(functions.createQp, "ibv_create_qp");
    find(functions.modifyQp, "ibv_modify_qp");
    find(functions.queryQp, "ibv_query_qp");
    find(functions.destroyQp, "ibv_destroy_qp");
    find(functions.createChannel, "ibv_create_comp_channel", true);
    find(functions.destroyChannel, "ibv_destroy_comp_channel", true);
    find(functions.getCqEvent, "ibv_get_cq_event", true);
    find(functions.ackCqEvents, "ibv_ack_cq_events", true);
    return why.empty();
  }
};

}  // namespace

const Library* library(std::string& why) {
  static const Loaded loaded;
  why = loaded.why;
  return loaded.ok ? &loaded.functions : nullptr;
}

}  // namespace espalier::transport::verbs
