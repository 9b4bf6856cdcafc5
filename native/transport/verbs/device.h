#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "transport/verbs/gid.h"
#include "transport/verbs/library.h"

namespace espalier::transport::verbs {

inline constexpr uint8_t kPort = 1;  ///< Apple's devices have one; a second port of another maker is not used

/// An open RDMA device with its protection domain, shared by all of a family's links on it: reports say that two
/// contexts of one process on one device deadlock Apple's driver.
class Device {
 public:
  /// Null with the reason. Nothing is allocated on a device whose port is not active.
  static std::shared_ptr<Device> open(const Library& library, const std::string& name, std::string& why);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const Library& library() const { return library_; }
  const std::string& name() const { return name_; }
  abi::ibv_context* context() const { return context_; }
  abi::ibv_pd* domain() const { return domain_; }
  const abi::ibv_device_attr& limits() const { return limits_; }
  /// Sends only what Apple documents: SEND without immediate data, 32 work requests.
  bool sendOnly() const { return sendOnly_; }
  /// The port as it is now; false with the reason when it is not active.
  bool active(std::string& why) const;
  int activeMtu() const { return activeMtu_; }
  GidChoice gids() const;

  /// What a device has few of.
  enum class Scarce : uint8_t { QueuePair, Region };
  /// Counts one against the device's limit. False: none is left.
  bool take(Scarce kind);
  void give(Scarce kind);

 private:
  Device(const Library& library, std::string name, abi::ibv_context* context);
  bool prepare(std::string& why);

  const Library& library_;
  const std::string name_;
  abi::ibv_context* context_;
  abi::ibv_pd* domain_ = nullptr;
  abi::ibv_device_attr limits_{};
  int activeMtu_ = 0;
  int gidCount_ = 0;
  bool sendOnly_ = false;
  std::mutex mutex_;
  int taken_[2] = {};  ///< by Scarce
};

/// Whether this host has verbs at all: the library and a device. False with the reason.
bool present(std::string& why);

/// The devices that this process has open: each once, for all its groups.
class Shelf {
 public:
  static Shelf& ofProcess();
  /// `name` "": the only active device. Null with the reason.
  std::shared_ptr<Device> take(const std::string& name, std::string& why);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Device>> open_;
};

}  // namespace espalier::transport::verbs
