#include "mpi/report.h"

#include <cstdio>

namespace espalier::mpi {
void reportStats(Communicator& world) noexcept {
  try {
    const transport::GroupStats stats = world.stats();
    const std::string who = "rank " + std::to_string(world.rank()) + ": ";
    char text[200];
    for (const transport::CollectiveStats& one : stats.collectives) {
      std::snprintf(text, sizeof text, "%s %llu calls, %llu bytes, mean %.1f us, longest %.0f us", one.name.c_str(),
                    static_cast<unsigned long long>(one.count), static_cast<unsigned long long>(one.bytes),
                    one.totalUs / static_cast<double>(one.count), one.maxUs);
      say(who + text);
    }
    for (const transport::PeerStats& peer : stats.peers) {
      std::snprintf(text, sizeof text, "peer %d over %s: %llu bytes sent, %llu received, waited %.0f us", peer.rank,
                    linkName(peer.link), static_cast<unsigned long long>(peer.bytesSent),
                    static_cast<unsigned long long>(peer.bytesReceived), peer.stallUs);
      say(who + text);
    }
  } catch (const std::exception& error) {
    say(std::string("no statistics: ") + error.what());
  }
}

}  // namespace espalier::mpi
