import { loadSchemas } from '../../src/resources/schemas.ts';
import type {
  ClusterNode,
  Condition,
  GroupStatus,
  ModelDeployment,
  ModelDeploymentSpec,
} from '../../src/resources/types.ts';

const schemas = loadSchemas();

export const now = new Date('2026-11-23T12:00:00Z');
export const minutesAgo = (minutes: number): string =>
  `${new Date(now.getTime() - minutes * 60_000).toISOString().slice(0, 19)}Z`;

type DeepPartial<T> = { [K in keyof T]?: T[K] extends object ? DeepPartial<T[K]> : T[K] };

/** A deployment as a store gives it, of generation 1, observed. */
export const deployment = (
  name: string,
  {
    spec = {},
    status = {},
    metadata = {},
  }: {
    spec?: DeepPartial<ModelDeploymentSpec>;
    status?: Partial<ModelDeployment['status']>;
    metadata?: Partial<ModelDeployment['metadata']>;
  } = {},
): ModelDeployment => ({
  apiVersion: 'espalier.dev/v1alpha1',
  kind: 'ModelDeployment',
  metadata: {
    name,
    namespace: 'default',
    uid: `uid-of-${name}`,
    generation: 1,
    creationTimestamp: minutesAgo(60),
    ...metadata,
  },
  spec: schemas.defaultField('ModelDeployment', 'spec', {
    model: { uri: 'file:///models/m' },
    ...spec,
  }) as ModelDeploymentSpec,
  status: schemas.defaultField('ModelDeployment', 'status', {
    observedGeneration: 1,
    ...status,
  }) as ModelDeployment['status'],
});

/** A node that reports. */
export const clusterNode = (
  name: string,
  { spec = {}, status = {} }: { spec?: object; status?: Partial<ClusterNode['status']> } = {},
): ClusterNode => ({
  apiVersion: 'espalier.dev/v1alpha1',
  kind: 'ClusterNode',
  metadata: {
    name,
    uid: `uid-of-${name}`,
    generation: 1,
    creationTimestamp: minutesAgo(60),
  },
  spec: schemas.defaultField('ClusterNode', 'spec', spec) as ClusterNode['spec'],
  status: schemas.defaultField('ClusterNode', 'status', {
    observedGeneration: 1,
    conditions: [condition('Ready', 'True', 'DaemonReporting')],
    ...status,
  }) as ClusterNode['status'],
});

export const condition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message = `because of ${reason}`,
): Condition => ({
  type,
  status,
  reason,
  message,
  observedGeneration: 1,
  lastTransitionTime: minutesAgo(2),
});

/** A group whose ranks are on these nodes, in these states. */
export const group = (
  state: GroupStatus['state'],
  ranks: Readonly<Record<string, string>>,
  overrides: Partial<GroupStatus> = {},
): GroupStatus => ({
  index: 0,
  revision: 'm-1',
  incarnation: 1,
  restarts: 0,
  state,
  progressTime: minutesAgo(4),
  ...(state === 'Ready' ? { readyTime: minutesAgo(3) } : {}),
  members: Object.entries(ranks).map(([nodeName, rankState], rank) => ({
    nodeName,
    rank,
    tensorRank: rank,
    stage: 0,
    layers: '0-31',
    threads: 4,
    memoryBytes: 2 ** 30,
    state: rankState,
  })),
  ...overrides,
});
