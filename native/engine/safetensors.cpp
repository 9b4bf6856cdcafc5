#include "engine/safetensors.h"

#include <cstring>

#include "engine/json.h"

namespace espalier::engine {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the reference implementation

struct TypeFact {
  const char* name;
  TensorType type;
  uint64_t bytes;
};
constexpr TypeFact kTypes[] = {
    {"F32", TensorType::F32, 4},    {"F16", TensorType::F16, 2},       {"BF16", TensorType::BF16, 2},
    {"U32", TensorType::U32, 4},    {"F64", TensorType::Other, 8},     {"I64", TensorType::Other, 8},
    {"U64", TensorType::Other, 8},  {"I32", TensorType::Other, 4},     {"I16", TensorType::Other, 2},
    {"U16", TensorType::Other, 2},  {"I8", TensorType::Other, 1},      {"U8", TensorType::Other, 1},
    {"BOOL", TensorType::Other, 1}, {"F8_E4M3", TensorType::Other, 1}, {"F8_E5M2", TensorType::Other, 1},
};

Status fileFailure(const char* code, const MappedFile& file, const std::string& what) {
  Status status = Status::failure(code, file.path() + ": " + what);
  status.file = file.path();
  return status;
}

bool readOffsets(const Json* offsets, uint64_t& begin, uint64_t& end) {
  if (offsets == nullptr || !offsets->isArray() || offsets->items.size() != 2) return false;
  for (const Json& item : offsets->items)
    if (!item.isInteger || item.integer < 0) return false;
  begin = static_cast<uint64_t>(offsets->items[0].integer);
  end = static_cast<uint64_t>(offsets->items[1].integer);
  return begin <= end;
}

bool readShape(const Json* shape, std::vector<int64_t>& out, uint64_t& elements) {
  if (shape == nullptr || !shape->isArray()) return false;
  elements = 1;
  for (const Json& item : shape->items) {
    if (!item.isInteger || item.integer < 0) return false;
    out.push_back(item.integer);
    if (__builtin_mul_overflow(elements, static_cast<uint64_t>(item.integer), &elements)) return false;
  }
  return true;
}

Status readEntry(const MappedFile& file, uint64_t dataBegin, const std::string& name, const Json& entry,
                 TensorView& out) {
  const auto invalid = [&](const std::string& what) {
    return fileFailure("SafetensorsInvalid", file, "tensor " + name + ": " + what);
  };
  const Json* type = entry.find("dtype");
  if (type == nullptr || !type->isString()) return invalid("expected a dtype");
  const TypeFact* fact = nullptr;
  for (const TypeFact& candidate : kTypes)
    if (type->string == candidate.name) fact = &candidate;
  if (fact == nullptr) return invalid("unknown dtype \"" + type->string + "\"");
  uint64_t elements = 0, begin = 0, end = 0, bytes = 0;
  if (!readShape(entry.find("shape"), out.shape, elements))
    return invalid("expected a shape of non-negative integers");
  if (!readOffsets(entry.find("data_offsets"), begin, end))
    return invalid("expected data_offsets [begin, end] with begin <= end");
  if (__builtin_mul_overflow(elements, fact->bytes, &bytes) || bytes != end - begin)
    return invalid("data_offsets span " + std::to_string(end - begin) + " bytes, the shape needs " +
                   std::to_string(elements) + " elements of " + std::to_string(fact->bytes) + " bytes");
  const uint64_t dataBytes = file.size() - dataBegin;
  if (end > dataBytes)
    return fileFailure("ModelFileTruncated", file,
                       "tensor " + name + " ends at byte " + std::to_string(end) + " of the data, the file has " +
                           std::to_string(dataBytes) + "; copy the file again");
  out.name = name;
  out.file = file.path();
  out.typeName = type->string;
  out.type = fact->type;
  out.data = file.data() + dataBegin + begin;
  out.bytes = bytes;
  return Status::success();
}

}  // namespace

Status readSafetensors(const MappedFile& file, std::vector<TensorView>& out) {
  uint64_t headerBytes = 0;
  if (file.size() < sizeof(headerBytes))
    return fileFailure(
        "ModelFileTruncated", file,
        "expected at least 8 bytes, the file has " + std::to_string(file.size()) + "; copy the file again");
  std::memcpy(&headerBytes, file.data(), sizeof(headerBytes));
  if (headerBytes > kMaxHeaderBytes)
    return fileFailure("SafetensorsInvalid", file,
                       "its header claims " + std::to_string(headerBytes) + " bytes; this is no safetensors file");
  const uint64_t dataBegin = sizeof(headerBytes) + headerBytes;
  if (dataBegin > file.size())
    return fileFailure("ModelFileTruncated", file,
                       "its header ends at byte " + std::to_string(dataBegin) + ", the file has " +
                           std::to_string(file.size()) + "; copy the file again");
  Json header;
  std::string error;
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + sizeof(headerBytes), headerBytes);
  if (!Json::parse(text, header, error)) return fileFailure("SafetensorsInvalid", file, "header: " + error);
  if (!header.isObject()) return fileFailure("SafetensorsInvalid", file, "header: expected an object");
  for (const auto& [name, entry] : header.members) {
    if (name == "__metadata__") continue;
    Status status = readEntry(file, dataBegin, name, entry, out.emplace_back());
    if (!status.ok()) return status;
  }
  return Status::success();
}

}  // namespace espalier::engine
