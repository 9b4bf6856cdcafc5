#pragma once
#include <cstdint>
#include <random>

#include "test/transport/ranks.h"

namespace espalier::test {

/// The collectives that all ranks of a trial make, in an order that the seed decides: the same on each rank.
class RandomCalls {
 public:
  RandomCalls(Group& group, uint64_t seed);
  /// Makes the next call. `oddly`: with another collective, size, type or reduction than the other ranks.
  Status next(bool oddly);
  /// As next(), but all ranks learn together whether one of them wants to end.
  Status askToEnd(bool wish, bool& end);

 private:
  Status reduce(bool oddly);
  Status pass(bool oddly);
  Status splitOff();
  size_t count();

  Group& group_;
  std::mt19937_64 random_;
  std::vector<float> in_, out_;
};

/// Notes the failure of this rank's group, and when it came, on the board.
void post(Board* board, int rank, const Status& status);
/// Checks that a dead group uses no CPU and says the same again, and that nothing of a group is left after it: this
/// process has as many descriptors as before, one thread, and no shared memory.
void endQuietly(std::unique_ptr<Group> group, const Status& status, int descriptorsBefore);
int descriptorsOfThisProcess();
int threadsOfThisProcess();
bool mapsTransportMemory();

enum class Channel { Data, Side };
/// Writes garbage into one of this process's TCP connections: of the data links, or to rank 0's rendezvous port.
void corruptConnection(Channel channel, uint16_t rendezvousPort, uint64_t seed);
/// Ends this process so that its connections vanish without a word, as when its host loses power: what is left at the
/// peers is half-open.
void vanish();
/// Only root on Linux may do that.
bool mayVanish();

}  // namespace espalier::test
