#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/json.h"
#include "engine/safetensors.h"

namespace espalier::engine {
namespace {

namespace fs = std::filesystem;
constexpr const char* kIndexName = "model.safetensors.index.json";

Status indexFailure(const std::string& path, const std::string& what) {
  Status status = Status::failure("SafetensorsInvalid", path + ": " + what);
  status.file = path;
  return status;
}

Status readIndex(const std::string& path, std::map<std::string, std::string>& out) {
  MappedFile file;
  Status status = MappedFile::open(path, "ModelFileMissing", file);
  if (!status.ok()) return status;
  Json index;
  std::string error;
  if (!Json::parse({reinterpret_cast<const char*>(file.data()), file.size()}, index, error))
    return indexFailure(path, error);
  const Json* map = index.find("weight_map");
  if (map == nullptr || !map->isObject() || map->members.empty())
    return indexFailure(path, "expected a weight_map that names a file for each tensor");
  for (const auto& [tensor, name] : map->members) {
    if (!name.isString() || name.string.empty() || name.string.find('/') != std::string::npos)
      return indexFailure(path, "weight_map: " + tensor + ": expected the name of a file in the same folder");
    out[tensor] = name.string;
  }
  return Status::success();
}

/// Names of the files without an index, sorted.
std::set<std::string> findFiles(const std::string& folder) {
  std::set<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("model") && name.ends_with(".safetensors")) names.insert(name);
  }
  return names;
}

}  // namespace

Status TensorStore::open(const std::string& folder, TensorStore& out) {
  TensorStore store;
  store.folder_ = folder;
  std::error_code ignored;
  std::set<std::string> names;
  const std::string indexPath = folder + "/" + kIndexName;
  if (fs::exists(indexPath, ignored)) {
    Status status = readIndex(indexPath, store.indexed_);
    if (!status.ok()) return status;
    for (const auto& [tensor, name] : store.indexed_) names.insert(name);
  } else {
    names = findFiles(folder);
  }
  if (names.empty()) {
    Status status = Status::failure("ModelFileMissing",
                                    folder + ": expected model.safetensors or " + kIndexName + ", found neither");
    status.file = folder + "/model.safetensors";
    return status;
  }
  for (const std::string& name : names) {
    Status status = store.openFile(folder + "/" + name, "ModelFileMissing");
    if (!status.ok()) return status;
  }
  out = std::move(store);
  return Status::success();
}

Status TensorStore::openFile(const std::string& path, const char* missingCode) {
  MappedFile& file = files_.emplace_back();
  Status status = MappedFile::open(path, missingCode, file);
  if (!status.ok() && !indexed_.empty()) status.message += std::string("; ") + kIndexName + " names it";
  if (!status.ok()) return status;
  std::vector<TensorView> views;
  status = readSafetensors(file, views);
  if (!status.ok()) return status;
  for (TensorView& view : views) {
    const std::string name = view.name;
    if (!tensors_.emplace(name, std::move(view)).second)
      return indexFailure(path, "tensor " + name + " is in another file as well");
  }
  return Status::success();
}

const TensorView* TensorStore::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void TensorStore::releasePages() const {
  for (const MappedFile& file : files_) MappedFile::release(file.data(), file.size());
}

std::string TensorStore::expectedFile(const std::string& name) const {
  const auto found = indexed_.find(name);
  if (found != indexed_.end()) return folder_ + "/" + found->second;
  return files_.size() == 1 ? files_.front().path() : folder_;
}

}  // namespace espalier::engine
