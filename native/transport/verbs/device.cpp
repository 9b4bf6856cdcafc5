#include "transport/verbs/device.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <vector>

#include "transport/verbs/reasons.h"

namespace espalier::transport::verbs {
namespace {

/// What Apple grants in fact; its ibv_query_device says 11.
constexpr int kAppleQueuePairs = 10;
/// What it says itself (ibv_query_device), and what was found.
constexpr int kAppleRegions = 100;

/// A line that Linux publishes on a GID; "" elsewhere.
std::string gidAttribute(const std::string& device, const char* kind, int index) {
  std::ifstream file("/sys/class/infiniband/" + device + "/ports/1/gid_attrs/" + kind + "/" + std::to_string(index));
  std::string line;
  std::getline(file, line);
  return line;
}

/// rdma_en5 is the RDMA twin of en5 on a Mac.
std::string interfaceOf(const std::string& device) {
  return device.starts_with("rdma_") ? device.substr(5) : "";
}

class DeviceList {
 public:
  explicit DeviceList(const Library& library) : library_(library) { list_ = library.getDeviceList(&count_); }
  ~DeviceList() {
    if (list_ != nullptr) library_.freeDeviceList(list_);
  }
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;

  int count() const { return list_ == nullptr ? 0 : count_; }
  abi::ibv_device* device(int i) const { return list_[i]; }
  std::string name(int i) const { return library_.getDeviceName(list_[i]); }

 private:
  const Library& library_;
  int count_ = 0;
  abi::ibv_device** list_ = nullptr;
};

/// The one device with an active port; "" with the reason otherwise.
std::string onlyActive(const Library& library, const DeviceList& devices, std::string& why) {
  std::string found, all;
  int active = 0;
  for (int i = 0; i < devices.count(); ++i) {
    abi::ibv_context* context = library.openDevice(devices.device(i));
    if (context == nullptr) continue;
    abi::ibv_port_attr port{};
    const bool isActive = library.queryPort(context, kPort, &port) == 0 && port.state == abi::IBV_PORT_ACTIVE;
    library.closeDevice(context);
    if (!isActive) continue;
    ++active;
    found = devices.name(i);
    all += (all.empty() ? "" : ", ") + found;
  }
  if (active == 1) return found;
  why = active == 0 ? explain(Step::Port, ENETDOWN, "", "none of " + std::to_string(devices.count()) + " devices is active")
                    : explain(Step::Devices, EEXIST, "", all);
  return "";
}

}  // namespace

std::shared_ptr<Device> Device::open(const Library& library, const std::string& name, std::string& why) {
  const DeviceList devices(library);
  for (int i = 0; i < devices.count(); ++i) {
    if (devices.name(i) != name) continue;
    errno = 0;
    abi::ibv_context* context = library.openDevice(devices.device(i));
    if (context == nullptr) {
      why = explain(Step::Open, errno, name);
      return nullptr;
    }
    std::shared_ptr<Device> device(new Device(library, name, context));
    // Apple's SEND is all there is; the variable makes another device pass for one, for tests and odd providers.
    device->sendOnly_ = static_cast<int>(devices.device(i)->transport_type) == abi::kTransportThunderbolt ||
                        std::getenv("ESPALIER_VERBS_SEND_ONLY") != nullptr;
#ifdef __APPLE__
    device->sendOnly_ = true;
#endif
    return device->prepare(why) ? device : nullptr;
  }
  why = explain(Step::Devices, ENOENT, name);
  return nullptr;
}

Device::Device(const Library& library, std::string name, abi::ibv_context* context)
    : library_(library), name_(std::move(name)), context_(context) {}

bool Device::prepare(std::string& why) {
  if (!active(why)) return false;
  abi::ibv_port_attr port{};
  library_.queryPort(context_, kPort, &port);
  activeMtu_ = port.active_mtu;
  gidCount_ = port.gid_tbl_len;
  const int failed = library_.queryDevice(context_, &limits_);
  if (failed != 0) {
    why = explain(Step::Open, failed, name_, "its limits cannot be read");
    return false;
  }
  errno = 0;
  domain_ = library_.allocPd(context_);
  if (domain_ == nullptr) why = explain(Step::Domain, errno, name_);
  return domain_ != nullptr;
}

Device::~Device() {
  if (domain_ != nullptr) library_.deallocPd(domain_);
  library_.closeDevice(context_);
}

bool Device::active(std::string& why) const {
  abi::ibv_port_attr port{};
  const int failed = library_.queryPort(context_, kPort, &port);
  if (failed != 0) {
    why = explain(Step::Port, failed, name_);
  } else if (port.state != abi::IBV_PORT_ACTIVE) {
    why = explain(Step::Port, ENETDOWN, name_, "its state is " + std::to_string(static_cast<int>(port.state)));
  } else {
    return true;
  }
  return false;
}

GidChoice Device::gids() const {
  // A table may have hundreds of rows, of which the first few are in use; an empty row ends none of the known ones.
  constexpr int kMostRows = 64;
  std::vector<GidEntry> table;
  for (int index = 0; index < std::min(gidCount_, kMostRows); ++index) {
    abi::ibv_gid gid{};
    if (library_.queryGid(context_, kPort, index, &gid) != 0) continue;
    GidEntry entry;
    entry.index = index;
    std::memcpy(entry.gid.data(), gid.raw, entry.gid.size());
    if (entry.gid == Gid{}) continue;
    entry.interface = gidAttribute(name_, "ndevs", index);
    entry.routable = gidAttribute(name_, "types", index) != "IB/RoCE v1";
    table.push_back(std::move(entry));
  }
  return chooseGids(table, interfaceOf(name_), interfaceAddresses());
}

bool Device::take(Scarce kind) {
  const bool pairs = kind == Scarce::QueuePair;
  int limit = pairs ? limits_.max_qp : limits_.max_mr;
  if (sendOnly_) limit = std::min(limit, pairs ? kAppleQueuePairs : kAppleRegions);
  const std::lock_guard lock(mutex_);
  int& taken = taken_[static_cast<size_t>(kind)];
  if (taken >= limit) return false;
  ++taken;
  return true;
}

void Device::give(Scarce kind) {
  const std::lock_guard lock(mutex_);
  --taken_[static_cast<size_t>(kind)];
}

bool present(std::string& why) {
  const Library* loaded = library(why);
  if (loaded == nullptr) return false;
  if (DeviceList(*loaded).count() > 0) return true;
  why = explain(Step::Devices, ENODEV, "");
  return false;
}

Shelf& Shelf::ofProcess() {
  static auto* const shelf = new Shelf;  // for as long as any thread may use a group
  return *shelf;
}

std::shared_ptr<Device> Shelf::take(const std::string& name, std::string& why) {
  const Library* loaded = library(why);
  if (loaded == nullptr) return nullptr;
  const std::lock_guard lock(mutex_);
  std::string wanted = name;
  if (wanted.empty()) {
    const DeviceList devices(*loaded);
    if (devices.count() == 0) {
      why = explain(Step::Devices, ENODEV, "");
      return nullptr;
    }
    wanted = onlyActive(*loaded, devices, why);
    if (wanted.empty()) return nullptr;
  }
  std::shared_ptr<Device> device = open_[wanted].lock();
  if (device) return device->active(why) ? device : nullptr;
  device = Device::open(*loaded, wanted, why);
  open_[wanted] = device;
  return device;
}

}  // namespace espalier::transport::verbs
