import type { ModelProfile, PlanRequest, PlanResult } from '../../planner/types.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { GroupStatus, ModelDeploymentSpec } from '../../resources/types.ts';
import { correctionsFrom } from '../fleet/corrections.ts';
import { isExpected } from '../fleet/fleet.ts';
import type { Fleet, NodeView } from '../fleet/fleet.ts';
import { claimsOf, holdersOf, holdsMemory, ownHoldersOf, planNodes } from '../fleet/plan-nodes.ts';
import type { Target } from '../groups/advance.ts';
import { currentPlace } from '../groups/current-place.ts';
import { ownerOf } from '../groups/rank-id.ts';
import type { Wait } from '../groups/transitions.ts';
import { deploymentKey, sameKey } from '../keys.ts';
import type { Pass } from './pass.ts';
import { asSeenBy, mayPreempt, waitForRoom } from './preemption.ts';

interface Snapshot {
  spec: ModelDeploymentSpec;
  profile: ModelProfile;
}

/**
 * Plans groups of spec's revision, as far as its model was read, and of every revision that a group runs or that was
 * rolled out last: those are what groups come back as while the newest must not take them.
 */
export const planBeside = async (pass: Pass): Promise<Omit<Target, 'revision'>> => {
  const { context, deployment } = pass;
  const snapshots = await takeSnapshots(pass);
  const surroundings = lazily(() => surroundingsOf(pass));
  return {
    place: (index, own, wanted) => {
      const snapshot = snapshots.get(wanted);
      if (!snapshot) return modelGone(wanted);
      const beside = own.filter((group) => group.index !== index);
      const request = requestOf(pass, { index, beside, snapshot, ...surroundings() });
      const { siblings = [] } = request;
      return patiently(context.plan(request), pass, { group: groupOf(index, own), siblings });
    },
    awaitRoom: (index, own, wanted) => {
      const snapshot = snapshots.get(wanted);
      const group = groupOf(index, own);
      const isSurge = index >= deployment.spec.replicas;
      if (!snapshot || !group || isSurge || !mayPreempt(deployment)) return undefined;
      if (unheardOf(pass.fleet).length > 0) return waitOf(group);
      const beside = own.filter((each) => each !== group);
      const { others, ...rest } = surroundings();
      const request = requestOf(pass, { index, beside, snapshot, ...rest });
      const plan = (nodes: PlanRequest['nodes']) => context.plan({ ...request, nodes });
      return waitForRoom({ deployment, others, beside, nodes: request.nodes, plan });
    },
  };
};

const groupOf = (index: number, groups: readonly GroupStatus[]): GroupStatus | undefined =>
  groups.find((group) => group.index === index);

const requestOf = (
  { deployment, fleet, groups }: Pass,
  {
    index,
    beside,
    snapshot,
    taken,
    holders,
    corrections,
  }: Omit<Surroundings, 'others'> & {
    index: number;
    beside: readonly GroupStatus[];
    snapshot: Snapshot;
  },
): PlanRequest => {
  const { namespace, deployment: name } = ownerOf(deployment);
  const current = currentPlace(groupOf(index, groups));
  const placed = beside.filter(holdsMemory);
  return {
    deployment: { namespace, name, spec: snapshot.spec },
    model: snapshot.profile,
    nodes: planNodes(fleet, claimsOf([...taken, ...beside]), [ownHoldersOf(beside), holders]),
    corrections,
    siblings: placed.flatMap(nodesOf),
    groupsAhead: Math.max(0, deployment.spec.replicas - placed.length - 1),
    ...(current ? { current } : {}),
  };
};

/** What others were asked for before stands: nobody else is asked while a node may be about to report. */
const waitOf = ({ reason, message, preemption }: GroupStatus): Wait | undefined =>
  preemption && reason !== undefined && message !== undefined
    ? { reason, message, preemption }
    : undefined;

const nodesOf = ({ members }: GroupStatus): string[] => members.map(({ nodeName }) => nodeName);

/**
 * By revision. A group never runs a mix of an old revision and today's spec: it is planned with all of its revision's
 * fields, and with its revision's model.
 */
const takeSnapshots = async ({
  context,
  deployment,
  groups,
  profile,
  revision,
}: Pass): Promise<ReadonlyMap<string, Snapshot>> => {
  const { metadata, spec, status } = deployment;
  const snapshots = new Map<string, Snapshot>();
  if (profile && revision !== undefined) snapshots.set(revision, { spec, profile });
  const older = new Set([status.currentRevision, ...groups.map((group) => group.revision)]);
  const { namespace, deployment: name } = ownerOf(deployment);
  for (const {
    metadata: { name: each },
    data,
  } of context.store.revisions(namespace, name)) {
    if (snapshots.has(each) || !older.has(each)) continue;
    // A model that cannot be read any more keeps its own groups from starting, and no others.
    const read = context.models.profile(data.model.uri, `${metadata.uid}/${each}`);
    const known = await read.catch(() => undefined);
    if (known) snapshots.set(each, { spec: { ...spec, ...data }, profile: known });
  }
  return snapshots;
};

/** What a plan must know of the other deployments. */
const surroundingsOf = ({ context, deployment, fleet }: Pass) => {
  const all = context.store.deployments();
  const others = all
    .filter((other) => !sameKey(deploymentKey(other.metadata), deploymentKey(deployment.metadata)))
    .map((other) => asSeenBy(deployment, other));
  return {
    others,
    taken: others.flatMap(({ status }) => status.groups),
    holders: holdersOf(others),
    corrections: correctionsFrom(all, fleet),
  };
};

type Surroundings = ReturnType<typeof surroundingsOf>;

/** Most reconciles plan nothing. */
const lazily = <T>(compute: () => T): (() => T) => {
  let value: { is: T } | undefined;
  return () => (value ??= { is: compute() }).is;
};

const modelGone = (revision: string): PlanResult => ({
  ok: false,
  reason: 'ModelInvalid',
  message: `the model of revision ${revision} cannot be read any more`,
  terminal: false,
  rejected: [],
  options: [],
});

/** Nodes may be about to report that had reported to the control plane before this one. */
export const awaitsReports = (fleet: Fleet): boolean => [...fleet.values()].some(isExpected);

/**
 * A refusal of before stands, word for word, until the nodes have reported that had reported to the control plane
 * before this one.
 */
export const asBefore = <T extends { reason: string; message: string; terminal: boolean }>(
  { fleet, isNewGeneration, deployment }: Pass,
  refusal: T,
  said: { reason?: string; message?: string } | undefined,
): T => {
  if (refusal.terminal || isNewGeneration || !said?.reason || !said.message) return refusal;
  if (!awaitsReports(fleet)) return refusal;
  const { reason, message } = said;
  const stalled = findCondition(deployment.status.conditions, 'Stalled');
  return { ...refusal, reason, message, terminal: stalled?.message === message };
};

const unheardOf = (fleet: Fleet): NodeView[] =>
  [...fleet.values()].filter(({ presence }) => presence === 'Unheard');

/** Nothing is given up, and no node shared, for want of one that may still be about to report. */
const patiently = (
  result: PlanResult,
  pass: Pass,
  { group, siblings }: { group: GroupStatus | undefined; siblings: readonly string[] },
): PlanResult => {
  if (!result.ok) return asBefore(pass, result, group?.state === 'Waiting' ? group : undefined);
  const { degradedBy, ranks } = result.plan;
  const shared = ranks.flatMap(({ nodeName }) => (siblings.includes(nodeName) ? [nodeName] : []));
  const unheard = unheardOf(pass.fleet);
  if (degradedBy.length + shared.length === 0 || unheard.length === 0) return result;
  const loss =
    degradedBy.length > 0
      ? `giving up ${degradedBy.join(', ')}`
      : `sharing ${shared.join(', ')} with another group of this deployment`;
  return {
    ok: false,
    reason: 'AwaitingFirstReport',
    message: `waiting for ${unheard.map(({ name }) => name).join(', ')} to report before ${loss}`,
    terminal: false,
    rejected: result.plan.rejected,
    options: result.options,
  };
};
