import { errorKind } from '../../base/errors.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { GroupStatus } from '../../resources/types.ts';
import { ownerOf } from '../groups/rank-id.ts';
import { isHeldBack } from '../groups/rollout.ts';
import { deploymentKey } from '../keys.ts';
import { unavailableFields, unenforcedNote } from './features.ts';
import type { Blocked } from './judge.ts';
import { rollbackInput } from './pass.ts';
import type { Pass } from './pass.ts';
import { asBefore, awaitsReports, planBeside } from './planning.ts';
import { matchingRevision, newRevision, nextRevisionNumber } from './revisions.ts';
import { goodRevision, standingFailure } from './rollback.ts';

export const deploymentFinalizer = 'espalier.dev/groups';

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

/** There is something to keep. */
const isPlaced = ({ state }: GroupStatus): boolean => state !== 'Failed' && state !== 'Waiting';

/** Older revisions give way only when a plan for the new one exists without them. */
const findPlan = async (pass: Pass): Promise<Blocked | undefined> => {
  const { deployment, groups } = pass;
  if (!pass.profile || pass.revision === undefined) return undefined;
  const rollback = rollbackInput(pass);
  const revision = (standingFailure(rollback) && goodRevision(rollback)) ?? pass.revision;
  const { spec } = deployment;
  const places = await planBeside(pass);
  pass.target = { revision, ...places };
  const isOld = (group: GroupStatus) =>
    group.revision !== revision && isPlaced(group) && !isHeldBack(group, spec);
  const first = groups.find((group) => isOld(group) && group.index < spec.replicas);
  if (!first || spec.paused) return undefined;
  // Groups of the new revision that a rolling update runs already are proof of a plan, not in its way.
  const isRolling = spec.strategy.type === 'RollingUpdate';
  const beside = groups.filter(
    (group) => isPlaced(group) && (isRolling ? isHeldBack(group, spec) : !isOld(group)),
  );
  const result = places.place(isRolling ? first.index : 0, beside, revision);
  if (result.ok) return undefined;
  const noPlan = `revision ${revision} has no plan, the one before keeps running: `;
  const known = findCondition(deployment.status.conditions, 'Ready');
  const said = known?.message.startsWith(noPlan) ? known : undefined;
  // What was on its way is not stopped for want of a node that may be about to report.
  const isPatient = isRolling && !result.terminal && !pass.isNewGeneration && !said;
  if (isPatient && awaitsReports(pass.fleet)) return undefined;
  pass.target = { revision: undefined, ...places };
  const refusal = asBefore(pass, { ...result, message: noPlan + result.message }, said);
  const { reason, message, terminal } = refusal;
  return { kind: terminal ? 'terminal' : 'waiting', reason, message };
};

/** In this order; the first that blocks ends the list, and what runs is then kept running as it is. */
export const steps: readonly Step[] = [
  { name: 'finalizer', run: ensureFinalizer },
  { name: 'deletion', run: honourDeletion },
  { name: 'features', run: checkFeatures },
  { name: 'model', run: resolveModel },
  { name: 'revision', run: recordRevision },
  { name: 'plan', run: findPlan },
];
