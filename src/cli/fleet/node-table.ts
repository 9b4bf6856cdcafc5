import { formatBytes, parseQuantityBytes } from '../../base/quantity.ts';
import { usageOf } from '../../controller/fleet/plan-nodes.ts';
import { findCondition } from '../../resources/conditions.ts';
import type { ClusterNode, ModelDeployment } from '../../resources/types.ts';
import { age, table } from '../output.ts';

/** One machine as `espalier nodes` shows it. */
export interface NodeEntry {
  name: string;
  /** "Ready", or the reason why not. */
  state: string;
  since?: string;
  message?: string;
  isCordoned: boolean;
  taints: string[];
  model?: string;
  chip?: string;
  osVersion?: string;
  /** Planned for ranks, from their start until they are gone. */
  usedBytes: number;
  /** What ranks may use; absent before the first report. */
  allocatableBytes?: number;
  links: { peer: string; type: string; mode: string; state: string }[];
  ranks: { deployment: string; group: number; rank: number; state: string }[];
}

export const nodeEntries = (
  nodes: readonly ClusterNode[],
  deployments: readonly ModelDeployment[],
): NodeEntry[] => {
  const usage = usageOf(deployments.flatMap(({ status }) => status.groups));
  return nodes
    .toSorted((left, right) => (left.metadata.name < right.metadata.name ? -1 : 1))
    .map(({ metadata, spec, status }) => {
      const ready = findCondition(status.conditions, 'Ready');
      const { hostInfo } = status;
      const allocatableBytes = parseQuantityBytes(status.allocatable?.memory ?? '');
      return {
        name: metadata.name,
        state: ready?.status === 'True' ? 'Ready' : (ready?.reason ?? 'Pending'),
        ...(ready ? { since: ready.lastTransitionTime, message: ready.message } : {}),
        isCordoned: spec.unschedulable,
        taints: spec.taints.map(({ key, effect }) => `${key}:${effect}`),
        ...(hostInfo
          ? { model: hostInfo.model, chip: hostInfo.chip, osVersion: hostInfo.osVersion }
          : {}),
        usedBytes: usage.get(metadata.name) ?? 0,
        ...(allocatableBytes === undefined ? {} : { allocatableBytes }),
        links: status.links.map(({ peerNodeName: peer, type, mode, state }) => ({
          peer,
          type,
          mode,
          state,
        })),
        ranks: status.ranks,
      };
    });
};

export const nodeTable = (entries: readonly NodeEntry[], now: Date, isWide: boolean): string =>
  table(
    [
      'Name',
      'Status',
      'Chip',
      'Memory',
      'Links',
      'Ranks',
      ...(isWide ? ['Model', 'OS', 'Taints', 'Peers'] : []),
    ],
    entries.map((entry) => [
      entry.name,
      statusText(entry, now),
      entry.chip ?? '-',
      memoryText(entry),
      linkText(entry),
      rankText(entry),
      ...(isWide
        ? [
            entry.model ?? '-',
            entry.osVersion ?? '-',
            entry.taints.join(', ') || '-',
            peerText(entry),
          ]
        : []),
    ]),
  );

const statusText = ({ state, since, isCordoned, taints }: NodeEntry, now: Date): string =>
  [
    state === 'Ready' || since === undefined ? state : `${state} ${age(since, now)}`,
    ...(isCordoned ? ['cordoned'] : []),
    ...(taints.some((taint) => taint === `${drainTaintKey}:NoExecute`) ? ['drained'] : []),
  ].join(', ');

/** The taint that `espalier drain` sets. */
export const drainTaintKey = 'espalier.dev/drain';

const memoryText = ({ usedBytes, allocatableBytes }: NodeEntry): string =>
  allocatableBytes === undefined
    ? '-'
    : `${formatBytes(usedBytes)} of ${formatBytes(allocatableBytes)}`;

/** "3 RDMA, 1 TCP, 1 Down". */
const linkText = ({ links }: NodeEntry): string => {
  const kinds = Map.groupBy(links, ({ mode, state }) => (state === 'Up' ? mode : state));
  return [...kinds].map(([kind, all]) => `${all.length} ${kind}`).join(', ') || '-';
};

const peerText = ({ links }: NodeEntry): string =>
  links.map(({ peer, type, mode, state }) => `${peer} (${type}, ${mode}, ${state})`).join(', ') ||
  '-';

const rankText = ({ ranks }: NodeEntry): string =>
  ranks
    .map(({ deployment, group, rank, state }) => {
      const name = `${deployment}/${group}/${rank}`;
      return state === 'Ready' ? name : `${name} ${state}`;
    })
    .join(', ') || '-';
