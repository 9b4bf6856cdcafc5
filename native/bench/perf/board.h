#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/perf/cell.h"

namespace espalier::perf {

constexpr int kMaxCrews = 16;

/// Memory that all processes of a run map: where ranks of a crew start each call together.
struct Board {
  struct alignas(128) Mark {
    std::atomic<uint32_t> value;
  };
  struct Crew {
    Mark arrived[kMaxRanks];
    std::atomic<int> rendezvousPort;
    /// Set when the crew is to end early: none of its ranks spins on.
    std::atomic<int> stop;
  };
  Crew crews[kMaxCrews];
};

/// Maps the board of the run in `folder`; the first call makes the file. Null on failure.
Board* openBoard(const std::string& folder);

/// What `meet` says: all have come, or the crew was stopped.
enum class Meeting : uint8_t { Met, Ended };

/// Spins until all ranks of the crew have called it as often as this one: the common start of a timed call. It is
/// the same for every library, so that none is measured with the lateness of another's barrier. It never pauses, nor does
/// ib_send_lat: an emulator leaves the translated code for that, and who came first would then start its call colder.
Meeting meet(Board& board, int crew, int rank, int ranks, uint32_t turn);

/// Pins this process to core `rank` where there is one for each; otherwise does nothing. False: crowded.
bool pinTo(int rank, int ranks);

double nowUs();

}  // namespace espalier::perf
