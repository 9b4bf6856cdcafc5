import { createHmac } from 'node:crypto';
import type { NodeDocument, PhaseDeadlines, RankAssignment } from '../nodedoc/types.ts';
import { createNodeDocument } from '../nodedoc/version.ts';
import type {
  GroupMember,
  GroupStatus,
  ModelDeployment,
  RevisionedSpec,
} from '../resources/types.ts';
import { deploymentsOn } from './fleet/deployments-on.ts';
import { ownerOf, rankId } from './groups/rank-id.ts';
import type { Store } from './ports.ts';

type Desired = Pick<Store, 'deployments' | 'revisions' | 'epoch' | 'groupSecretKey'>;

/**
 * What a node should run, from what the store holds and nothing else: a control plane that starts again builds
 * the same documents, version for version, before it has heard of any node.
 */
export const buildNodeDocument = (nodeName: string, desired: Desired): NodeDocument =>
  createNodeDocument({
    nodeName,
    epoch: desired.epoch(),
    ranks: deploymentsOn(nodeName, desired.deployments())
      .flatMap((deployment) => assignmentsOn(nodeName, deployment, desired))
      .toSorted((left, right) => (left.id < right.id ? -1 : 1)),
  });

const assignmentsOn = (
  nodeName: string,
  deployment: ModelDeployment,
  desired: Desired,
): RankAssignment[] => {
  const running = deployment.status.groups.filter(
    (group) => isListed(group) && group.members.some((member) => member.nodeName === nodeName),
  );
  if (running.length === 0) return [];
  const { namespace, deployment: name } = ownerOf(deployment);
  const revisions = new Map(
    desired.revisions(namespace, name).map(({ metadata, data }) => [metadata.name, data]),
  );
  return running.flatMap((group) => {
    const data = revisions.get(group.revision);
    if (!data) return [];
    const secret = groupSecret(desired.groupSecretKey(), deployment.metadata.uid, group);
    return group.members
      .filter((member) => member.nodeName === nodeName)
      .map((member) => assignment({ deployment, group, member, data, secret }));
  });
};

const isListed = ({ state }: GroupStatus): boolean =>
  state === 'Starting' || state === 'Ready' || state === 'Draining';

/** One per start of a group, so that a rank of an earlier start cannot join. */
const groupSecret = (
  key: Buffer,
  uid: string,
  { index, incarnation }: Pick<GroupStatus, 'index' | 'incarnation'>,
): string => createHmac('sha256', key).update(`${uid}/${index}/${incarnation}`).digest('hex');

interface AssignmentInput {
  deployment: ModelDeployment;
  group: GroupStatus;
  member: GroupMember;
  data: RevisionedSpec;
  secret: string;
}

const assignment = (input: AssignmentInput): RankAssignment => {
  const { group, member, data, secret } = input;
  const owner = ownerOf(input.deployment);
  const { servedNames } = data.model;
  return {
    id: rankId(owner, group, member.rank),
    ...owner,
    groupIndex: group.index,
    incarnation: group.incarnation,
    rank: member.rank,
    worldSize: group.members.length,
    revision: group.revision,
    engine: {
      name: group.engine ?? data.runtime.name,
      version: data.runtime.version,
      args: data.runtime.args,
    },
    model: {
      uri: data.model.uri,
      servedNames: servedNames.length > 0 ? servedNames : [owner.deployment],
    },
    shard: shardOf(group, member),
    contextLength: group.contextLength ?? data.runtime.contextLength,
    maxConcurrentRequests: data.runtime.maxConcurrentRequests,
    threads: member.threads,
    memoryBytes: member.memoryBytes,
    interconnectMode: group.interconnectMode ?? 'None',
    rendezvous: {
      address: member.rank === 0 ? null : (group.rendezvousAddress ?? null),
      secret,
    },
    deadlines: deadlinesOf(member),
  };
};

const shardOf = ({ members }: GroupStatus, member: GroupMember): RankAssignment['shard'] => {
  const [first = 0, last = -1] = member.layers.split('-').map(Number);
  return {
    tensorRank: member.tensorRank,
    tensorSize: Math.max(...members.map(({ tensorRank }) => tensorRank)) + 1,
    stage: member.stage,
    stageCount: Math.max(...members.map(({ stage }) => stage)) + 1,
    firstLayer: first,
    endLayer: last + 1,
  };
};

/** A hard disk reads 100 MB/s; nothing that serves a model is slower. */
const slowestReadBytesPerMs = 100_000;

/**
 * Long enough for a slow disk, short enough that a person still waits. A rank waits for its peers for as long as
 * they may take to check their weights, and 60 s more.
 */
const deadlinesOf = ({ memoryBytes }: GroupMember): PhaseDeadlines => {
  const readMs = Math.ceil(memoryBytes / slowestReadBytesPerMs);
  return {
    stageMs: 60_000 + readMs,
    loadMs: 60_000 + readMs,
    rendezvousMs: 60_000 + readMs,
    canaryMs: 30_000,
    stopGraceMs: 10_000,
  };
};
