import type { RankError, RankReport } from '../../nodedoc/types.ts';
import type { GroupMember, GroupStatus, Toleration } from '../../resources/types.ts';
import { evictingTaint } from '../fleet/fleet.ts';
import type { Fleet, NodeView } from '../fleet/fleet.ts';
import { rankId } from './rank-id.ts';
import type { Owner } from './rank-id.ts';

/** Why a running group cannot go on, and what follows. */
export interface GroupFailure {
  reason: string;
  message: string;
  /** Restart counts against the limit; Replan is the fleet's doing and does not; Hold waits for the user. */
  after: 'Restart' | 'Replan' | 'Hold';
  /** False when the rank says that another one is to blame. */
  isRootCause: boolean;
}

/** The failure that explains the others best, if any rank of a Starting or Ready group failed. */
export const groupFailure = (
  owner: Owner,
  group: GroupStatus,
  fleet: Fleet,
  tolerations: readonly Toleration[],
): GroupFailure | undefined =>
  group.members
    .flatMap((member) => memberFailure({ owner, group, member, fleet, tolerations }) ?? [])
    .toSorted((left, right) => weight(left) - weight(right))[0];

const weight = ({ after, isRootCause }: GroupFailure): number =>
  after === 'Hold' ? 0 : after === 'Replan' ? 1 : isRootCause ? 2 : 3;

interface MemberInput {
  owner: Owner;
  group: GroupStatus;
  member: GroupMember;
  fleet: Fleet;
  tolerations: readonly Toleration[];
}

const memberFailure = (input: MemberInput): GroupFailure | undefined => {
  const view = input.fleet.get(input.member.nodeName);
  const gone = nodeFailure(input, view);
  if (gone || !view?.report || view.presence !== 'Present') return gone;
  const id = rankId(input.owner, input.group, input.member.rank);
  const report = view.report.ranks.find((rank) => rank.id === id);
  return report ? rankFailure(input, report) : vanished(input, view);
};

const nodeFailure = (
  { member, tolerations }: MemberInput,
  view: NodeView | undefined,
): GroupFailure | undefined => {
  const replan = (reason: string, cause: string): GroupFailure => ({
    reason,
    message: `rank ${member.rank} is planned anew: ${cause}`,
    after: 'Replan',
    isRootCause: true,
  });
  const { nodeName } = member;
  if (!view) return replan('NodeDeleted', `there is no ClusterNode ${nodeName} any more`);
  const { node, presence } = view;
  if (node.metadata.deletionTimestamp) return replan('NodeDeleted', `${nodeName} is being deleted`);
  if (presence === 'Lost') {
    const seconds = node.spec.nodeLostToleranceSeconds;
    return replan('NodeLost', `${nodeName} has not reported for more than ${seconds} s`);
  }
  const taint = evictingTaint(node, tolerations);
  if (taint === undefined) return undefined;
  return replan('TaintNotTolerated', `${nodeName} has the taint ${taint}:NoExecute`);
};

const rankFailure = (
  { group, member }: MemberInput,
  report: RankReport,
): GroupFailure | undefined => {
  const where = `rank ${member.rank} on ${member.nodeName}`;
  switch (report.state) {
    case 'Failed':
      return failed(group, where, member.rank, report.error);
    case 'Stopping':
    case 'Stopped':
      // A rank that fails while its process lives is Stopping, with its error, until the process is gone.
      if (report.error) return failed(group, where, member.rank, report.error);
      return restart(`${where} was stopped by its node`);
    case 'Pending':
    case 'Staging':
    case 'Rendezvous':
    case 'Loading':
      // A whole group in one rank may start again by itself after a reboot; peers would not meet it again.
      return group.state === 'Ready' && group.members.length > 1
        ? restart(`${where} was started anew while its group was Ready`)
        : undefined;
    default:
      return undefined;
  }
};

const failed = (
  group: GroupStatus,
  where: string,
  rank: number,
  error: RankError | undefined,
): GroupFailure => {
  if (!error) {
    return restart(`${where} failed without saying why`);
  }
  const guilty = group.members.find((member) => member.rank === error.guiltyRank);
  const details = [
    guilty && guilty.rank !== rank ? `caused by rank ${guilty.rank} on ${guilty.nodeName}` : '',
    error.link ? `link ${error.link}` : '',
    error.file ? `file ${error.file}` : '',
    error.signal ? `signal ${error.signal}` : '',
    error.exitCode === undefined ? '' : `exit code ${error.exitCode}`,
  ].filter((detail) => detail !== '');
  const suffix = details.length > 0 ? ` (${details.join(', ')})` : '';
  return {
    reason: error.code,
    message: `${where} failed: ${error.message}${suffix}`,
    after: error.terminal ? 'Hold' : 'Restart',
    isRootCause: !guilty || guilty.rank === rank,
  };
};

/** A rank that its node once reported, or that its node's answer to the document leaves out. */
const vanished = ({ member }: MemberInput, view: NodeView): GroupFailure | undefined => {
  if (member.state === 'Pending' && !view.hasAnswered) return undefined;
  const boot = view.report?.bootId ?? 'unknown';
  return restart(
    `rank ${member.rank} on ${member.nodeName} vanished: its node reports without it (boot ${boot})`,
  );
};

/** A failure that its rank gave no code for. */
const restart = (message: string): GroupFailure => ({
  reason: 'RankFailed',
  message,
  after: 'Restart',
  isRootCause: true,
});
