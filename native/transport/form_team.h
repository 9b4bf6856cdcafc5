#pragma once
#include <memory>
#include <vector>

#include "transport/collectives/collectives.h"
#include "transport/notices.h"
#include "transport/rendezvous/handshake.h"
#include "transport/shm/host_team.h"

namespace espalier::transport {

/// Agrees with the whole group on host teams: the ranks of one host form one if each pair of them shares memory
/// already and all of them could map one more segment, which the lowest of them makes. `team` stays null on a rank
/// that is in none; a notice says why, unless the rank is alone on its host or may not share memory.
/// `members` are this group's, by rank. Collective; fails only with the group.
Status formTeam(Mesh& mesh, Collectives& collectives, const std::vector<Member>& members, Notices& notices,
                std::unique_ptr<HostTeam>& team);

}  // namespace espalier::transport
