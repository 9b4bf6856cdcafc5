#pragma once
#include <cstddef>
#include <functional>
#include <string>

#include "test/transport/ranks.h"

namespace espalier::test {

using Handle = void*;
using UserFunction = void(void* in, void* inout, int* count, Handle* type);

struct MpiStatus {
  int source, tag, error, cancelled;
  size_t bytes;
};

inline void* const kMpiInPlace = reinterpret_cast<void*>(1);
inline constexpr int kMpiUndefined = -32766;

/// The library as MLX sees it: opened by path, symbols by name, handles without types.
struct Mpi {
  Mpi();

  Handle object(const char* name) const;

  int (*getVersion)(char*, int*);
  int (*init)(int*, char***);
  int (*finalize)();
  int (*rank)(Handle, int*);
  int (*size)(Handle, int*);
  int (*split)(Handle, int, int, Handle*);
  int (*free)(Handle*);
  int (*allReduce)(const void*, void*, int, Handle, Handle, Handle);
  int (*allGather)(const void*, int, Handle, void*, int, Handle, Handle);
  int (*send)(const void*, int, Handle, int, int, Handle);
  int (*recv)(void*, int, Handle, int, int, Handle, MpiStatus*);
  int (*typeContiguous)(int, Handle, Handle*);
  int (*typeCommit)(Handle*);
  int (*opCreate)(UserFunction*, int, Handle*);
  Handle world;

 private:
  void* library_;
};

/// Runs `body` in one process per rank, each with the environment of a group that meets through a file. `leftover`: what
/// an earlier group that was killed has left in that file; "": there is none.
void runRanks(int count, const std::function<void(Mpi&, int rank)>& body, const std::string& leftover = "");

/// Gives this process the environment of a rank that meets the others at `place`.
void setPlace(int rank, int count, const std::string& place);

/// A folder that goes with it.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// The text that `body` throws; "" when it does not.
std::string thrownBy(const std::function<void()>& body);

}  // namespace espalier::test
