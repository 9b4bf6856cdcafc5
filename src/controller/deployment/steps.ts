import { errorKind } from '../../base/errors.ts';
import type { ModelProfile, PlanResult } from '../../planner/types.ts';
import type {
  GroupStatus,
  ModelDeployment,
  ModelDeploymentSpec,
  ModelDeploymentStatus,
} from '../../resources/types.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { Context } from '../context.ts';
import { correctionsFrom } from '../fleet/corrections.ts';
import { isExpected } from '../fleet/fleet.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { holdsMemory, planNodes, usageOf } from '../fleet/plan-nodes.ts';
import type { Target } from '../groups/advance.ts';
import { currentPlace } from '../groups/current-place.ts';
import { ownerOf } from '../groups/rank-id.ts';
import { isHeldBack } from '../groups/rollout.ts';
import { deploymentKey, sameKey } from '../keys.ts';
import { unavailableFields, unenforcedNote } from './features.ts';
import type { Blocked } from './judge.ts';
import { matchingRevision, newRevision, nextRevisionNumber } from './revisions.ts';
import { goodRevision, standingFailure } from './rollback.ts';
import type { RollbackInput } from './rollback.ts';

export const deploymentFinalizer = 'espalier.dev/groups';

/** What the steps of one reconcile find out for each other. */
export interface Pass {
  context: Context;
  deployment: ModelDeployment;
  fleet: Fleet;
  groups: readonly GroupStatus[];
  now: Date;
  isNewGeneration: boolean;
  profile?: ModelProfile;
  /** Equals spec. */
  revision?: string;
  /** By revision: what groups that start now may be planned with. */
  snapshots?: ReadonlyMap<string, Snapshot>;
  target?: Target;
  resolvedModel: ModelDeploymentStatus['resolvedModel'];
}

export interface Snapshot {
  spec: ModelDeploymentSpec;
  profile: ModelProfile;
}

/** Says why the steps after it must not run; undefined when they may. Throws for what the catalogue of errors knows. */
export interface Step {
  name: string;
  run: (pass: Pass) => Promise<Blocked | undefined> | Blocked | undefined;
}

const ensureFinalizer = async ({ context, deployment }: Pass): Promise<undefined> => {
  const { metadata } = deployment;
  if (metadata.deletionTimestamp || metadata.finalizers?.includes(deploymentFinalizer)) return;
  await context.store.addFinalizer(deploymentKey(metadata), deploymentFinalizer);
};

const honourDeletion = ({ deployment }: Pass): Blocked | undefined =>
  deployment.metadata.deletionTimestamp
    ? { kind: 'waiting', reason: 'Deleting', message: 'the deployment is being deleted' }
    : undefined;

const checkFeatures = ({ context, deployment, isNewGeneration }: Pass): Blocked | undefined => {
  const fields = unavailableFields(deployment.spec);
  if (fields.length > 0) {
    const message = fields.map(({ field, message: text }) => `${field}: ${text}`).join('; ');
    return { kind: 'terminal', reason: 'NotAvailableYet', message };
  }
  const note = unenforcedNote(deployment.spec);
  if (note !== undefined && isNewGeneration) {
    const regarding = deploymentKey(deployment.metadata);
    context.store.recordEvent({
      regarding,
      type: 'Warning',
      reason: 'NotAvailableYet',
      message: note,
    });
  }
  return undefined;
};

/** A folder that has become unreadable does not disturb groups that run from it already. */
const resolveModel = async (pass: Pass): Promise<Blocked | undefined> => {
  const { context, deployment } = pass;
  const { metadata, spec } = deployment;
  try {
    const scope = `${metadata.uid}/${metadata.generation}`;
    pass.profile = await context.models.profile(spec.model.uri, scope);
  } catch (error) {
    if (needsModel(pass) || errorKind(error) === 'retry') throw error;
    return undefined;
  }
  const { weightsPresent, revision, totalBytes, architecture } = pass.profile;
  if (!weightsPresent && needsModel(pass)) {
    const message = `${spec.model.uri} has a config.json, but no weights`;
    return { kind: 'terminal', reason: 'WeightsMissing', message };
  }
  pass.resolvedModel = { revision, sizeBytes: totalBytes, architecture };
  return undefined;
};

const needsModel = ({ context, deployment, groups }: Pass): boolean => {
  const { namespace, deployment: name } = ownerOf(deployment);
  const current = matchingRevision(deployment, context.store.revisions(namespace, name));
  return (
    groups.length < deployment.spec.replicas ||
    groups.some(
      ({ state, revision }) =>
        state === 'Waiting' || state === 'Failed' || revision !== current?.metadata.name,
    )
  );
};

const recordRevision = async (pass: Pass): Promise<undefined> => {
  const { context, deployment, now } = pass;
  const { store } = context;
  const { namespace, deployment: name } = ownerOf(deployment);
  const revisions = store.revisions(namespace, name);
  const known = matchingRevision(deployment, revisions);
  const next = nextRevisionNumber(revisions);
  if (!known) {
    const revision = newRevision(deployment, revisions, now);
    await store.createRevision(revision);
    pass.revision = revision.metadata.name;
    return;
  }
  pass.revision = known.metadata.name;
  if (known.revision === next - 1) return;
  await store.renumberRevision(namespace, known.metadata.name, next);
  context.counters.specReverted({ namespace, name });
  store.recordEvent({
    regarding: deploymentKey(deployment.metadata),
    type: 'Normal',
    reason: 'RolledBack',
    message: `spec equals revision ${known.metadata.name}, which is taken up again`,
  });
};

export const knownRevisions = ({ context, deployment }: Pass): ReadonlySet<string> => {
  const { namespace, deployment: name } = ownerOf(deployment);
  return new Set(context.store.revisions(namespace, name).map(({ metadata }) => metadata.name));
};

export const rollbackInput = (pass: Pass): RollbackInput => ({
  deployment: pass.deployment,
  updateRevision: pass.revision ?? pass.deployment.status.updateRevision,
  knownRevisions: knownRevisions(pass),
});

/**
 * A group never runs a mix of an old revision and today's spec: one that is held back or goes back is planned with
 * all of its revision's fields, and with its revision's model.
 */
const takeSnapshots = async (pass: Pass): Promise<undefined> => {
  const { context, deployment, groups, profile, revision } = pass;
  if (!profile || revision === undefined) return;
  const { metadata, spec } = deployment;
  const { namespace, deployment: name } = ownerOf(deployment);
  const snapshots = new Map([[revision, { spec, profile }]]);
  const older = new Set(
    groups.filter((group) => isHeldBack(group, spec)).map((group) => group.revision),
  );
  const rollback = rollbackInput(pass);
  const good = standingFailure(rollback) && goodRevision(rollback);
  if (good !== undefined) older.add(good);
  // Groups that come new below a partition start with it.
  if (deployment.status.currentRevision !== undefined && isHeldBack({ index: 0 }, spec)) {
    older.add(deployment.status.currentRevision);
  }
  for (const {
    metadata: { name: each },
    data,
  } of context.store.revisions(namespace, name)) {
    if (each === revision || !older.has(each)) continue;
    // A model that cannot be read any more keeps its own groups from starting, and no others.
    const model = context.models.profile(data.model.uri, `${metadata.uid}/${each}`);
    const read = await model.catch((error: unknown) => {
      if (errorKind(error) === 'retry') throw error;
    });
    if (read) snapshots.set(each, { spec: { ...spec, ...data }, profile: read });
  }
  pass.snapshots = snapshots;
};

/** Under Recreate older revisions give way only when a plan for the new one exists without them. */
const findPlan = (pass: Pass): Blocked | undefined => {
  const { context, deployment, fleet, groups, snapshots } = pass;
  if (!snapshots || pass.revision === undefined) return undefined;
  const rollback = rollbackInput(pass);
  const revision = (standingFailure(rollback) && goodRevision(rollback)) ?? pass.revision;
  const owner = ownerOf(deployment);
  const { spec } = deployment;
  const surroundings = lazily(() => surroundingsOf(pass));
  const place: Target['place'] = (index, own, wanted) => {
    const snapshot = snapshots.get(wanted);
    if (!snapshot) return modelGone(wanted);
    const beside = own.filter((group) => group.index !== index);
    const { others, corrections } = surroundings();
    const current = currentPlace(groups.find((group) => group.index === index));
    const siblings = beside.filter(holdsMemory).flatMap(nodesOf);
    const result = context.plan({
      deployment: { namespace: owner.namespace, name: owner.deployment, spec: snapshot.spec },
      model: snapshot.profile,
      nodes: planNodes(fleet, usageOf([...others, ...beside])),
      corrections,
      siblings,
      ...(current ? { current } : {}),
    });
    const group = own.find((each) => each.index === index);
    return patiently(result, pass, { group, siblings });
  };
  const isOld = (group: GroupStatus) => group.revision !== revision && holdsMemory(group);
  const isRecreate = spec.strategy.type === 'Recreate';
  if (isRecreate && groups.some(isOld) && spec.replicas > 0 && !spec.paused) {
    const own = groups.filter((group) => !isOld(group));
    const result = place(0, own, revision);
    if (!result.ok) {
      const noPlan = `revision ${revision} has no plan, the one before keeps running: `;
      const known = findCondition(deployment.status.conditions, 'Ready');
      const said = known?.message.startsWith(noPlan) ? known : undefined;
      const refusal = asBefore(pass, { ...result, message: noPlan + result.message }, said);
      const { reason, message, terminal } = refusal;
      return { kind: terminal ? 'terminal' : 'waiting', reason, message };
    }
  }
  pass.target = { revision, place };
  return undefined;
};

const nodesOf = ({ members }: GroupStatus): string[] => members.map(({ nodeName }) => nodeName);

/** What a plan must know of the other deployments. */
const surroundingsOf = ({ context, deployment, fleet }: Pass) => {
  const all = context.store.deployments();
  const others = all
    .filter((other) => !sameKey(deploymentKey(other.metadata), deploymentKey(deployment.metadata)))
    .flatMap(({ status }) => status.groups);
  return { others, corrections: correctionsFrom(all, fleet) };
};

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

/**
 * A refusal of before stands, word for word, until the nodes have reported that had reported to the control plane
 * before this one.
 */
const asBefore = <T extends { reason: string; message: string; terminal: boolean }>(
  { fleet, isNewGeneration, deployment }: Pass,
  refusal: T,
  said: { reason?: string; message?: string } | undefined,
): T => {
  if (refusal.terminal || isNewGeneration || !said?.reason || !said.message) return refusal;
  if (![...fleet.values()].some(isExpected)) return refusal;
  const { reason, message } = said;
  const stalled = findCondition(deployment.status.conditions, 'Stalled');
  return { ...refusal, reason, message, terminal: stalled?.message === message };
};

/** Nothing is given up, and no node shared, for want of one that may still be about to report. */
const patiently = (
  result: PlanResult,
  pass: Pass,
  { group, siblings }: { group: GroupStatus | undefined; siblings: readonly string[] },
): PlanResult => {
  if (!result.ok) return asBefore(pass, result, group?.state === 'Waiting' ? group : undefined);
  const { degradedBy, ranks } = result.plan;
  const shared = ranks.flatMap(({ nodeName }) => (siblings.includes(nodeName) ? [nodeName] : []));
  const views = [...pass.fleet.values()];
  const unheard = views.filter(({ presence }) => presence === 'Unheard');
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

/** In this order; the first that blocks ends the list, and what runs then runs on. */
export const steps: readonly Step[] = [
  { name: 'finalizer', run: ensureFinalizer },
  { name: 'deletion', run: honourDeletion },
  { name: 'features', run: checkFeatures },
  { name: 'model', run: resolveModel },
  { name: 'revision', run: recordRevision },
  { name: 'snapshots', run: takeSnapshots },
  { name: 'plan', run: findPlan },
];
