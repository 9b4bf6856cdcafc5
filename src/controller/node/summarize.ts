import type { NodeReport } from '../../nodedoc/types.ts';
import { reserveBytesOf } from '../../planner/capacity.ts';
import { findCondition, removeCondition, setCondition } from '../../resources/conditions.ts';
import type { Reason } from '../../resources/reasons.ts';
import type { ClusterNodeStatus, Condition } from '../../resources/types.ts';
import type { NodeView } from '../fleet/fleet.ts';
import { parseRankId } from '../groups/rank-id.ts';
import type { SpecProblem } from '../ports.ts';

/** The status that follows from what a node said last, and when. Facts of a lost node stay as they were. */
export const summarizeNode = (
  view: NodeView,
  problems: readonly SpecProblem[],
  now: Date,
): ClusterNodeStatus => {
  const { node, report } = view;
  const observedGeneration = node.metadata.generation;
  const conditions = conditionsOf(view, problems, now);
  if (!report) return { ...node.status, observedGeneration, conditions };
  const { host } = report;
  const allocatableBytes =
    host.memoryBytes - reserveBytesOf({ spec: node.spec, memoryBytes: host.memoryBytes });
  return {
    observedGeneration,
    conditions,
    hostInfo: {
      hostID: host.hostID,
      model: host.model,
      chip: host.chip,
      osVersion: host.osVersion,
      osBuild: host.osBuild,
      daemonVersion: report.daemonVersion,
    },
    capacity: { memory: mebibytes(host.memoryBytes) },
    allocatable: { memory: mebibytes(Math.max(0, allocatableBytes)) },
    links: report.links,
    engines: report.engines,
    cachedModels: report.cachedModels,
    ranks: rankStates(report),
  };
};

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)}Mi`;

const rankStates = ({ ranks }: NodeReport): ClusterNodeStatus['ranks'] =>
  ranks.flatMap(({ id, state }) => {
    const parsed = parseRankId(id);
    if (!parsed) return [];
    const { namespace, deployment, index, rank } = parsed;
    return [{ deployment: `${namespace}/${deployment}`, group: index, rank, state }];
  });

interface State {
  status: Condition['status'];
  reason: string;
  message: string;
}

const conditionsOf = (view: NodeView, problems: readonly SpecProblem[], now: Date): Condition[] => {
  const states: [type: string, state: State | undefined][] = [
    ['Ready', ready(view)],
    ['RDMAEnabled', rdmaEnabled],
    ['Stalled', stalled(view)],
    ['Degraded', degraded(problems)],
  ];
  const { status, metadata } = view.node;
  return states.reduce<Condition[]>(
    (conditions, [type, state]) =>
      state
        ? setCondition(
            conditions,
            // The code of a daemon's problem serves as reason, too: see docs/conditions.md.
            {
              ...state,
              type,
              reason: state.reason as Reason,
              observedGeneration: metadata.generation,
            },
            now,
          )
        : removeCondition(conditions, type),
    status.conditions,
  );
};

const ready = (view: NodeView): State => {
  const { node, presence, report } = view;
  const seconds = node.spec.nodeLostToleranceSeconds;
  if (node.metadata.deletionTimestamp) {
    return { status: 'False', reason: 'Deleting', message: 'the ClusterNode is being deleted' };
  }
  const unavailable = stalled(view);
  if (unavailable) return { ...unavailable, status: 'False' };
  const known = findCondition(node.status.conditions, 'Ready');
  if (presence === 'Unheard' && known?.status === 'True') return known;
  if (presence === 'Lost' && node.status.hostInfo) {
    const message = `no report for more than ${seconds} s: check the daemon, its network and its power`;
    return { status: 'Unknown', reason: 'NodeLost', message };
  }
  if (!report) {
    const message = `waiting for "espalier node" to report as ${view.name}`;
    return { status: 'Unknown', reason: 'AwaitingFirstReport', message };
  }
  const [problem] = report.problems ?? [];
  if (problem) return { status: 'False', reason: problem.code, message: problem.message };
  return {
    status: 'True',
    reason: 'DaemonReporting',
    message: `reports at least every ${seconds} s`,
  };
};

const rdmaEnabled: State = {
  status: 'False',
  reason: 'NotAvailableYet',
  message: 'ranks exchange over TCP and shared memory only',
};

const stalled = ({ node }: NodeView): State | undefined =>
  node.spec.linkPolicy.manageNetwork === 'Manage'
    ? {
        status: 'True',
        reason: 'NotAvailableYet',
        message: 'spec.linkPolicy.manageNetwork: network settings cannot be managed; use Observe',
      }
    : undefined;

const degraded = (problems: readonly SpecProblem[]): State | undefined =>
  problems.length === 0
    ? undefined
    : {
        status: 'True',
        reason: 'InvalidSpec',
        message: problems
          .map(({ file, line, message }) => `${file}:${line}: ${message}`)
          .join('; '),
      };
