import type { RankReport } from '../../nodedoc/types.ts';
import { conditionTime } from '../../resources/conditions.ts';
import type { GroupMember, GroupStatus } from '../../resources/types.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { rankId } from './rank-id.ts';
import type { Owner } from './rank-id.ts';

/** A group that was Ready for this long has proved itself: earlier failures no longer count. */
const provenAfterMs = 300_000;

/** A Ready group without its past failures, once it has been Ready for long enough. */
export const proven = (group: GroupStatus, now: Date): GroupStatus => {
  const readyMs = now.getTime() - Date.parse(group.readyTime ?? now.toISOString());
  return group.restarts > 0 && readyMs >= provenAfterMs ? { ...group, restarts: 0 } : group;
};

/**
 * A group with what its nodes say of its ranks taken over; the same object when that is nothing new. A Starting
 * group becomes Ready when every rank says Ready; one whose canary is out again goes back to Starting.
 */
export const observed = (
  owner: Owner,
  group: GroupStatus,
  fleet: Fleet,
  now: Date,
): GroupStatus => {
  const reports = reportsOf(owner, group, fleet);
  const members = withStates(group.members, reports);
  const first = reports.get(0);
  const rendezvousAddress = group.rendezvousAddress ?? first?.rendezvousAddress;
  const endpoint = first ? first.endpointUrl : group.endpoint;
  const base = {
    ...group,
    members,
    ...(rendezvousAddress === undefined ? {} : { rendezvousAddress }),
    ...(members === group.members ? {} : { progressTime: conditionTime(now) }),
  };
  if (group.state === 'Stopping') return members === group.members ? group : { ...group, members };
  const isReady = members.every(({ state }) => state === 'Ready') && endpoint !== undefined;
  const next = isReady ? ready(base, endpoint, now) : unready(base);
  return sameAs(group, next) ? group : next;
};

/** By rank; only of nodes that are present: what a lost node said last says nothing about now. */
const reportsOf = (owner: Owner, group: GroupStatus, fleet: Fleet): Map<number, RankReport> => {
  const reports = new Map<number, RankReport>();
  for (const { nodeName, rank } of group.members) {
    const view = fleet.get(nodeName);
    const id = rankId(owner, group, rank);
    const report =
      view?.presence === 'Present' && view.report?.ranks.find((each) => each.id === id);
    if (report) reports.set(rank, report);
  }
  return reports;
};

const withStates = (members: GroupMember[], reports: Map<number, RankReport>): GroupMember[] => {
  const changed = members.some(({ rank, state }) => (reports.get(rank)?.state ?? state) !== state);
  if (!changed) return members;
  return members.map((member) => ({
    ...member,
    state: reports.get(member.rank)?.state ?? member.state,
  }));
};

const ready = (group: GroupStatus, endpoint: string, now: Date): GroupStatus => {
  const { message: _, ...rest } = group;
  const readyTime = (group.state === 'Ready' ? group.readyTime : undefined) ?? conditionTime(now);
  return { ...rest, state: 'Ready', reason: 'AllRanksAnswered', endpoint, readyTime };
};

const unready = (group: GroupStatus): GroupStatus => {
  const { endpoint: _, readyTime: __, ...rest } = group;
  return { ...rest, state: 'Starting', reason: 'AwaitingRanks', message: progressMessage(group) };
};

const progressMessage = ({ members }: GroupStatus): string =>
  members.map(({ rank, nodeName, state }) => `rank ${rank} on ${nodeName}: ${state}`).join(', ');

const sameAs = (left: GroupStatus, right: GroupStatus): boolean =>
  left.state === right.state &&
  left.members === right.members &&
  left.endpoint === right.endpoint &&
  left.message === right.message &&
  left.restarts === right.restarts &&
  left.rendezvousAddress === right.rendezvousAddress;
