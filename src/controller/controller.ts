import type { Clock } from '../base/clock.ts';
import type { EspalierError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { createMetrics } from '../base/metrics.ts';
import type { Metrics } from '../base/metrics.ts';
import type { Random } from '../base/random.ts';
import type { PlanRequest, PlanResult } from '../planner/types.ts';
import type { Context } from './context.ts';
import { createModels } from './deployment/models.ts';
import { reconcileDeployment } from './deployment/reconcile.ts';
import { createReturns } from './deployment/returns.ts';
import { compareTurns, createTurns } from './deployment/turns.ts';
import { readFleet, viewNode } from './fleet/fleet.ts';
import type { FleetSources } from './fleet/fleet.ts';
import { deploymentKey, keyText, nodeKey, parseKey } from './keys.ts';
import { createLoop, done } from './loop.ts';
import type { Loop, Outcome } from './loop.ts';
import { countChanges } from './metrics/changes.ts';
import { measurePlans } from './metrics/plans.ts';
import { countReconciles } from './metrics/reconciles.ts';
import { exposeState } from './metrics/state.ts';
import { observeQueue } from './metrics/work-queue.ts';
import { reconcileNode } from './node/reconcile.ts';
import type { NodeLink, ObjectKey, ReadModelProfile, Store } from './ports.ts';
import { createPublisher } from './publisher.ts';
import { createQueue } from './queue.ts';

export interface ControllerOptions {
  store: Store;
  nodeLink: NodeLink;
  readModelProfile: ReadModelProfile;
  plan: (input: PlanRequest) => PlanResult;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Where clients reach a deployment: base URL on the router. */
  endpointUrl: (namespace: string, name: string) => string;
  /** Requests that a group's endpoint works on for the router in front of it; not given where there is no router. */
  requestsUnderWay?: (endpoint: string) => number;
  /** A newer control plane has taken over. Nothing is written or published after this call; end the process. */
  onFenced: (error: EspalierError) => void;
  /** Where what happens is counted; nobody looks unless it is given. */
  metrics?: Metrics;
}

export interface Controller {
  /**
   * Starts the store, looks at everything once, and only then lets nodes have their documents: a control plane
   * that starts again hands out what it handed out before. Rejects when the store does.
   */
  start(): Promise<void>;
  /** Lets running reconciles end, for at most 10 s, then stops the store. Ranks run on. */
  stop(): Promise<void>;
}

/** One worker: plans share the fleet's memory, and two at once would spend the same bytes twice. */
const workers = 1;
const nodesAtOnce = 16;
const stopDeadlineMs = 10_000;

export const createController = (options: ControllerOptions): Controller => {
  const { store, nodeLink, clock, random, logger, metrics = createMetrics() } = options;
  const observer = observeQueue(metrics, clock, () => queue.size());
  const queue = createQueue({ clock, random, observer });
  const publisher = createPublisher(store, nodeLink, clock);
  let startedAtMs = clock.monotonicMs();
  const sources = (): FleetSources => ({
    store,
    nodeLink,
    sinceStartMs: clock.monotonicMs() - startedAtMs,
    now: clock.now(),
    published: (nodeName) => publisher.published(nodeName),
  });
  const context: Context = {
    store,
    nodeLink,
    plan: measurePlans(options.plan, metrics, clock),
    clock,
    random,
    endpointUrl: options.endpointUrl,
    requestsUnderWay: options.requestsUnderWay,
    models: createModels(options.readModelProfile, clock),
    turns: createTurns(),
    returns: createReturns(clock),
    publisher,
    counters: countChanges(metrics),
    fleet: () => readFleet(sources()),
    view: (name) => {
      const node = store.node(name);
      return node && viewNode(node, sources());
    },
    planningHashes: new Map(),
    enqueue: (key) => queue.add(keyText(key)),
  };
  exposeState(metrics, context);

  const reconcile = async (key: string, keyLogger: Logger): Promise<Outcome> =>
    isFenced ? done : reconcileObject(context, parseKey(key), keyLogger);

  let isFenced = false;
  const onFenced = (error: EspalierError): void => {
    if (isFenced) return;
    isFenced = true;
    publisher.stop();
    queue.shutDown();
    logger.error({ ...error.facts, why: error.message }, 'this control plane is over');
    options.onFenced(error);
  };
  const onReconciled = countReconciles(metrics);
  const loop = createLoop({ queue, reconcile, workers, clock, logger, onFenced, onReconciled });

  const start = async (): Promise<void> => {
    let isRead = false;
    // What there is at the start is looked at below.
    await store.start((key) => isRead && queue.addUrgent(keyText(key)));
    isRead = true;
    startedAtMs = clock.monotonicMs();
    nodeLink.onReport((name) => queue.add(keyText(nodeKey(name))));
    publisher.publishAll();
    await lookAtAll(store, loop);
    if (isFenced) return;
    publisher.publishAll();
    nodeLink.open();
    loop.start();
  };

  const stop = async (): Promise<void> => {
    const isQuiet = await loop.stop(stopDeadlineMs);
    if (!isQuiet) logger.warn({ stopDeadlineMs }, 'a reconcile was still running');
    publisher.stop();
    await store.stop();
  };

  return { start, stop };
};

/** Deployments one by one, in order of their turns; nodes side by side, for they plan nothing and have two writes each. */
const lookAtAll = async (store: Store, loop: Loop): Promise<void> => {
  for (const { metadata } of store.deployments().toSorted(compareTurns)) {
    await loop.runNow(keyText(deploymentKey(metadata)));
  }
  const nodes = store.nodes().values();
  const lookAtNodes = async (): Promise<void> => {
    for (const { metadata } of nodes) await loop.runNow(keyText(nodeKey(metadata.name)));
  };
  await Promise.all(Array.from({ length: nodesAtOnce }, lookAtNodes));
};

const reconcileObject = async (
  context: Context,
  { kind, namespace = 'default', name }: ObjectKey,
  logger: Logger,
): Promise<Outcome> =>
  kind === 'ClusterNode'
    ? reconcileNode(context, name, logger)
    : reconcileDeployment(context, { namespace, name }, logger);
