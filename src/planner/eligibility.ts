import type { EngineFacts } from '../catalogue/facts.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { Refusal } from './refusal.ts';
import type { PlanNode } from './types.ts';

/**
 * Splits the fleet into nodes that may hold a rank and the reason for each that may not. Both sorted by
 * name, so that the order of the input changes nothing.
 */
export const selectNodes = (
  nodes: readonly PlanNode[],
  spec: ModelDeploymentSpec,
  engine: EngineFacts,
): { eligible: PlanNode[]; excluded: Refusal[] } => {
  const eligible: PlanNode[] = [];
  const excluded: Refusal[] = [];
  const labels = Object.entries(spec.placement.nodeSelector.matchLabels).toSorted(([a], [b]) =>
    compareText(a, b),
  );
  for (const node of nodes.toSorted((a, b) => compareText(a.name, b.name))) {
    const cause = exclusion(node, spec, { engine, labels });
    if (cause) excluded.push({ option: `Node ${node.name}`, terminal: false, ...cause });
    else eligible.push(node);
  }
  return { eligible, excluded };
};

export const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

type Cause = Pick<Refusal, 'reason' | 'message'>;

const exclusion = (
  node: PlanNode,
  spec: ModelDeploymentSpec,
  { engine, labels }: { engine: EngineFacts; labels: readonly [string, string][] },
): Cause | undefined =>
  unavailable(node) ??
  cordoned(node) ??
  tainted(node, spec) ??
  unselected(node, labels) ??
  withoutEngine(node, spec, engine);

const unavailable = (node: PlanNode): Cause | undefined =>
  node.available
    ? undefined
    : { reason: 'NodeLost', message: node.unavailableReason ?? 'the node does not report' };

const cordoned = (node: PlanNode): Cause | undefined =>
  node.spec.unschedulable
    ? { reason: 'NodeCordoned', message: 'spec.unschedulable is true' }
    : undefined;

const tainted = (node: PlanNode, spec: ModelDeploymentSpec): Cause | undefined => {
  const taint = node.spec.taints.find(
    ({ key, effect }) =>
      !spec.placement.tolerations.some(
        (toleration) =>
          toleration.key === key &&
          (toleration.effect === undefined || toleration.effect === effect),
      ),
  );
  return (
    taint && {
      reason: 'TaintNotTolerated',
      message: `taint ${taint.key}:${taint.effect} is not in spec.placement.tolerations`,
    }
  );
};

const unselected = (node: PlanNode, wanted: readonly [string, string][]): Cause | undefined => {
  const missing = wanted.find(([key, value]) => node.labels[key] !== value);
  if (!missing) return undefined;
  const [key, value] = missing;
  const found = node.labels[key];
  return {
    reason: 'NodeSelectorMismatch',
    message: `label ${key} is ${found === undefined ? 'not set' : `"${found}"`}, placement asks for "${value}"`,
  };
};

const withoutEngine = (
  node: PlanNode,
  { runtime: { version } }: ModelDeploymentSpec,
  engine: EngineFacts,
): Cause | undefined => {
  if (runs(node, engine, version)) return undefined;
  if (node.engines.length === 0) {
    return {
      reason: 'EngineUnavailable',
      message: `engines on the GPU need a Mac with Apple silicon, spec.hardware.model is ${node.hardwareModel === '' ? 'not set' : `"${node.hardwareModel}"`}`,
    };
  }
  const there = node.engines.map(({ name, version: has }) => `${name} ${has}`).join(', ');
  return {
    reason: 'EngineUnavailable',
    message: `needs engine ${engine.name}${version === '' ? '' : ` ${version}`}, the node has ${there}`,
  };
};

/**
 * Whether the engine is there (any version, if `version` is empty), or could be: a node that has reported no
 * engines has not reported yet, and a Mac can be given any.
 */
export const runs = (node: PlanNode, engine: EngineFacts, version: string): boolean =>
  node.engines.length === 0
    ? engine.runsOn === 'CPU' || isMac(node)
    : node.engines.some(
        (found) => found.name === engine.name && (version === '' || found.version === version),
      );

/** Apple's model identifiers (Mac15,14, MacBookPro18,3, Macmini9,1, iMac21,1), their names, or a chip's ("M4 Max"). */
export const isMac = ({ hardwareModel }: PlanNode): boolean =>
  /mac|^(Apple )?M\d/i.test(hardwareModel);
