import { sameContent } from '../../base/canonical-json.ts';
import { EspalierError, errorKind, errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ModelDeployment, ModelDeploymentStatus } from '../../resources/types.ts';
import type { Context } from '../context.ts';
import { happeningsBetween } from '../events.ts';
import { claimsOf, hasReleased, usageOf } from '../fleet/plan-nodes.ts';
import { advanceGroups } from '../groups/advance.ts';
import type { Advanced } from '../groups/advance.ts';
import { ownerOf } from '../groups/rank-id.ts';
import { deploymentKey } from '../keys.ts';
import { done } from '../loop.ts';
import type { Outcome } from '../loop.ts';
import type { Blocked } from './judge.ts';
import { goodRevision, standingFailure } from './rollback.ts';
import { knownRevisions, rollbackInput } from './pass.ts';
import type { Pass } from './pass.ts';
import { planBeside } from './planning.ts';
import { evictionsOf, isPreemptor, newlyAwaited } from './preemption.ts';
import { decodeSpeed, dueReturns, problemsOf } from './readings.ts';
import { surplusRevisions } from './revisions.ts';
import { deploymentFinalizer, steps } from './steps.ts';
import { summarize } from './summarize.ts';
import { compareTurns, wantsPlace } from './turns.ts';
import { nextLookMs } from './wake.ts';

/**
 * Drives one deployment towards its spec: steps up to a plan, the next state of its groups, one write of status,
 * then the documents of its nodes. What is published is always persisted first, so that a crash in between
 * leaves documents behind the status and never ahead of it.
 */
export const reconcileDeployment = async (
  context: Context,
  { namespace, name }: { namespace: string; name: string },
  logger: Logger,
): Promise<Outcome> => {
  const deployment = context.store.deployment(namespace, name);
  if (!deployment || letOthersFirst(context, deployment)) return done;
  try {
    return await reconcile(context, deployment, logger);
  } finally {
    context.turns.taken(deployment);
  }
};

const letOthersFirst = (context: Context, deployment: ModelDeployment): boolean => {
  if (!wantsPlace(deployment)) return false;
  const ahead = context.turns.ahead(deployment, context.store.deployments());
  if (ahead.length === 0) return false;
  for (const { metadata } of [...ahead.toSorted(compareTurns), deployment]) {
    context.enqueue(deploymentKey(metadata));
  }
  return true;
};

const reconcile = async (
  context: Context,
  deployment: ModelDeployment,
  logger: Logger,
): Promise<Outcome> => {
  const pass = newPass(context, deployment);
  const { blocked, failure } = await runSteps(pass, logger);
  if (!deployment.metadata.deletionTimestamp) {
    // Whatever stands in the way of the newest spec does not keep what ran from being healed.
    pass.target ??= { revision: undefined, ...(await planBeside(pass)) };
  }
  const advanced = advance(pass);
  const status = statusOf(pass, advanced, blocked);
  await persist(pass, status, logger);
  await settle(pass, status);
  if (failure !== undefined) throw failure;
  const afterMs = nextLookMs({ deployment, status, blocked, now: pass.now });
  return afterMs === undefined ? done : { kind: 'waiting', afterMs };
};

const newPass = (context: Context, deployment: ModelDeployment): Pass => {
  const { status, metadata } = deployment;
  const isNewGeneration = status.observedGeneration !== metadata.generation;
  const { groups, resolvedModel } = status;
  const fleet = context.fleet();
  const now = context.clock.now();
  return { context, deployment, fleet, groups, now, isNewGeneration, resolvedModel };
};

/** `failure` is an error that is worth a retry soon, beside what the status says of it. */
const runSteps = async (
  pass: Pass,
  logger: Logger,
): Promise<{ blocked: Blocked | undefined; failure?: unknown }> => {
  for (const { name, run } of steps) {
    try {
      const blocked = await run(pass);
      if (blocked) return { blocked };
    } catch (error) {
      if (error instanceof EspalierError && error.code === 'EpochFenced') throw error;
      const kind = errorKind(error);
      const reason = error instanceof EspalierError ? error.code : 'Internal';
      logger.warn({ step: name, kind, error: errorMessage(error) }, 'step failed');
      const blocked = { kind, reason, message: errorMessage(error) };
      return kind === 'retry' ? { blocked, failure: error } : { blocked };
    }
  }
  return { blocked: undefined };
};

const advance = (pass: Pass): Advanced => {
  const { context, deployment, fleet, groups, now, target, resolvedModel } = pass;
  const { status, metadata } = deployment;
  const owner = ownerOf(deployment);
  const { restartTime, ...others } = deployment.spec;
  // The attempt that failed is what became of the restart: what serves is not disturbed for it.
  const isSpent = restartTime === undefined || standingFailure(rollbackInput(pass)) !== undefined;
  const isModelChanged =
    status.resolvedModel !== undefined && status.resolvedModel.revision !== resolvedModel?.revision;
  return advanceGroups({
    owner,
    groups,
    spec: isSpent ? others : { ...others, restartTime },
    isDeleting: metadata.deletionTimestamp !== undefined,
    isForgiven: pass.isNewGeneration || isModelChanged,
    target,
    currentRevision: status.currentRevision,
    knownRevisions: knownRevisions(pass),
    returnable: dueReturns(pass),
    evictions: evictionsOf(deployment, context.store.deployments()),
    requestsUnderWay: context.requestsUnderWay,
    fleet,
    now,
    random: context.random,
  });
};

const statusOf = (
  pass: Pass,
  { groups, placements }: Advanced,
  blocked: Blocked | undefined,
): ModelDeploymentStatus => {
  const { context, deployment, fleet, now, resolvedModel } = pass;
  const { namespace, deployment: name } = ownerOf(deployment);
  const rollback = rollbackInput(pass);
  const failed = standingFailure(rollback);
  return summarize({
    ...rollback,
    failed,
    effectiveRevision: failed ? goodRevision(rollback) : rollback.updateRevision,
    deployment,
    groups,
    placements,
    blocked,
    resolvedModel,
    problems: problemsOf(context.store, deploymentKey(deployment.metadata)),
    decodeTokensPerSecond: decodeSpeed(ownerOf(deployment), groups, fleet),
    endpointUrl: context.endpointUrl(namespace, name),
    now,
  });
};

const persist = async (
  { context, deployment }: Pass,
  status: ModelDeploymentStatus,
  logger: Logger,
): Promise<void> => {
  const { store, publisher } = context;
  const { namespace, deployment: name } = ownerOf(deployment);
  if (!sameContent(status, deployment.status)) {
    await store.updateDeploymentStatus(namespace, name, status);
    context.counters.deploymentWritten({ namespace, name }, deployment.status, status);
    for (const happening of happeningsBetween(deployment.status, status)) {
      store.recordEvent({ regarding: deploymentKey(deployment.metadata), ...happening });
      logger.info(happening, 'deployment changed');
    }
  }
  publisher.publish(nodesOf(deployment.status, status));
};

const nodesOf = (...statuses: ModelDeploymentStatus[]): string[] =>
  statuses.flatMap(({ groups }) =>
    groups.flatMap(({ members }) => members.map(({ nodeName }) => nodeName)),
  );

/** What is due once the new status stands. */
const settle = async (
  { context, deployment }: Pass,
  status: ModelDeploymentStatus,
): Promise<void> => {
  const { store } = context;
  const { metadata, spec } = deployment;
  const { namespace, deployment: name } = ownerOf(deployment);
  wakeOthers(context, deployment, status);
  if (metadata.deletionTimestamp) {
    if (status.groups.length > 0) return;
    await store.removeFinalizer(deploymentKey(metadata), deploymentFinalizer);
    return;
  }
  const revisions = store.revisions(namespace, name);
  for (const surplus of surplusRevisions(revisions, status, spec.revisionHistoryLimit)) {
    await store.deleteRevision(namespace, surplus);
  }
};

/**
 * Whoever waits gets a new turn when there is more room, or when a priority may have become another one. Room that was
 * only kept is nothing to those before this deployment, so they are not asked: nobody ever waits in a circle.
 */
const wakeOthers = (
  context: Context,
  deployment: ModelDeployment,
  status: ModelDeploymentStatus,
): void => {
  const before = deployment.status;
  const isOther = status.observedGeneration !== before.observedGeneration;
  const isAnybodysTurn = isOther && context.store.deployments().some(isPreemptor);
  if (isAnybodysTurn || hasReleased(usageOf(before.groups), usageOf(status.groups))) {
    context.turns.open();
    enqueueWaiting(context);
  } else if (hasReleased(claimsOf(before.groups), claimsOf(status.groups))) {
    enqueueWaiting(context, (other) => isOther || compareTurns(deployment, other) < 0);
  }
  for (const key of newlyAwaited(before, status)) context.enqueue(key);
};

/** In order of their turns. */
export const enqueueWaiting = (
  { store, enqueue }: Context,
  isConcerned: (deployment: ModelDeployment) => boolean = () => true,
): void => {
  const waiting = store.deployments().filter((each) => wantsPlace(each) && isConcerned(each));
  for (const { metadata } of waiting.toSorted(compareTurns)) enqueue(deploymentKey(metadata));
};
