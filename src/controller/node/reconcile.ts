import { sameContent } from '../../base/canonical-json.ts';
import type { Logger } from '../../base/logger.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { Context } from '../context.ts';
import { enqueueWaiting } from '../deployment/reconcile.ts';
import { problemsOf } from '../deployment/readings.ts';
import { deploymentsOn } from '../fleet/deployments-on.ts';
import { toleranceMs } from '../fleet/fleet.ts';
import type { NodeView } from '../fleet/fleet.ts';
import { holdsMemory, planningHash } from '../fleet/plan-nodes.ts';
import { isLive } from '../groups/holders.ts';
import { parseRankId } from '../groups/rank-id.ts';
import type { Owner } from '../groups/rank-id.ts';
import { deploymentKey, keyText, nodeKey } from '../keys.ts';
import { done } from '../loop.ts';
import type { Outcome } from '../loop.ts';
import type { ObjectKey } from '../ports.ts';
import { summarizeNode } from './summarize.ts';

const nodeFinalizer = 'espalier.dev/ranks';

/** A lost node may come back with the very report it sent last, which nobody tells. */
const lostLookMs = 1000;

/** Takes over what a node reports, tells the deployments that care, and gives the node its document. */
export const reconcileNode = async (
  context: Context,
  name: string,
  logger: Logger,
): Promise<Outcome> => {
  const { store, publisher } = context;
  const view = context.view(name);
  if (!view) return forget(context, name);
  await ensureFinalizer(context, view);
  await persist(context, view, logger);
  publisher.publish([name]);
  notePlanning(context, name, planningHash(view));
  for (const key of concerned(context, name)) context.enqueue(key);
  if (view.node.metadata.deletionTimestamp && isEmpty(context, view)) {
    await store.removeFinalizer(nodeKey(name), nodeFinalizer);
    return done;
  }
  return { kind: 'waiting', afterMs: nextLookMs(view) };
};

/** The ClusterNode is gone, or was never declared. */
const forget = ({ store, nodeLink, publisher, ...context }: Context, name: string): Outcome => {
  const wasKnown = context.planningHashes.delete(name);
  if (wasKnown || publisher.published(name) !== undefined) {
    publisher.retract(name);
    for (const key of concerned({ store, nodeLink }, name)) context.enqueue(key);
    return done;
  }
  const received = nodeLink.latest(name);
  if (!received) return done;
  store.recordEvent({
    regarding: nodeKey(name),
    type: 'Warning',
    reason: 'NodeNotDeclared',
    message: `a daemon on host ${received.report.host.hostID} reports as "${name}", which no ClusterNode names; to use it, apply:\napiVersion: espalier.dev/v1alpha1\nkind: ClusterNode\nmetadata: {name: ${name}}\nspec: {}`,
  });
  return done;
};

const ensureFinalizer = async ({ store }: Context, { node, name }: NodeView): Promise<void> => {
  const { deletionTimestamp, finalizers } = node.metadata;
  if (deletionTimestamp || finalizers?.includes(nodeFinalizer)) return;
  await store.addFinalizer(nodeKey(name), nodeFinalizer);
};

const persist = async (
  { store, clock, counters }: Context,
  view: NodeView,
  logger: Logger,
): Promise<void> => {
  const { node, name } = view;
  const status = summarizeNode(view, problemsOf(store, nodeKey(name)), clock.now());
  if (sameContent(status, node.status)) return;
  await store.updateNodeStatus(name, status);
  counters.nodeWritten();
  for (const type of ['Ready', 'Stalled']) {
    const now = findCondition(status.conditions, type);
    const then = findCondition(node.status.conditions, type);
    if (!now || (now.reason === then?.reason && now.message === then.message)) continue;
    const isGood = type === 'Ready' && now.status === 'True';
    const event = {
      type: isGood ? 'Normal' : 'Warning',
      reason: now.reason,
      message: now.message,
    } as const;
    store.recordEvent({ regarding: nodeKey(name), ...event });
    logger.info(event, 'node changed');
  }
};

/** Whoever waits for a place gets a turn when the node changed in a way that planning knows. */
const notePlanning = (context: Context, name: string, hash: string): void => {
  if (context.planningHashes.get(name) === hash) return;
  context.planningHashes.set(name, hash);
  context.turns.open();
  enqueueWaiting(context);
};

/** Deployments with ranks on the node, by its report or by their status. */
const concerned = (
  { store, nodeLink }: Pick<Context, 'store' | 'nodeLink'>,
  name: string,
): ObjectKey[] => {
  const reported = nodeLink.latest(name)?.report.ranks ?? [];
  const placed = deploymentsOn(name, store.deployments());
  const keys = [
    ...reported
      .flatMap(({ id }) => parseRankId(id) ?? [])
      .map(ownerKey)
      .filter(({ namespace = '', name: each }) => store.deployment(namespace, each)),
    ...placed.map(({ metadata }) => deploymentKey(metadata)),
  ];
  return [...new Map(keys.map((key) => [keyText(key), key])).values()];
};

const ownerKey = ({ namespace, deployment }: Owner): ObjectKey =>
  deploymentKey({ namespace, name: deployment });

/** No group counts on the node, and nothing runs there any more as far as anybody can tell. */
const isEmpty = ({ store }: Context, view: NodeView): boolean => {
  const isUsed = deploymentsOn(view.name, store.deployments()).some(({ status }) =>
    status.groups.some(
      (group) => holdsMemory(group) && group.members.some(({ nodeName }) => nodeName === view.name),
    ),
  );
  if (isUsed) return false;
  if (view.presence === 'Lost') return true;
  const isQuiet = view.report !== undefined && !view.report.ranks.some(isLive);
  return isQuiet && view.hasAnswered;
};

const nextLookMs = (view: NodeView): number =>
  view.presence === 'Lost' ? lostLookMs : toleranceMs(view.node) - view.silentMs + 1;
