import { createNodeDocument } from '../../src/nodedoc/version.ts';
import type {
  NodeDocument,
  NodeReport,
  PhaseDeadlines,
  RankAssignment,
} from '../../src/nodedoc/types.ts';

/** Deadlines that a test never meets by accident on a slow machine. */
const patientDeadlines: PhaseDeadlines = {
  stageMs: 90_000,
  loadMs: 90_000,
  rendezvousMs: 90_000,
  canaryMs: 90_000,
  stopGraceMs: 5_000,
};

/** A whole, valid assignment; the id follows from the fields. */
export const assignment = (
  overrides: Partial<Omit<RankAssignment, 'id' | 'deadlines' | 'engine'>> & {
    deadlines?: Partial<PhaseDeadlines>;
    engine?: Partial<RankAssignment['engine']>;
  } = {},
): RankAssignment => {
  const fields = {
    namespace: 'default',
    deployment: 'sprout',
    groupIndex: 0,
    incarnation: 1,
    rank: 0,
    worldSize: 1,
    revision: 'sprout-6c9f',
    model: { uri: 'file:///models/sprout', servedNames: ['sprout'] },
    shard: {
      tensorRank: 0,
      tensorSize: 1,
      stage: 0,
      stageCount: 1,
      firstLayer: 0,
      endLayer: 4,
    },
    contextLength: 512,
    maxConcurrentRequests: 2,
    threads: 1,
    memoryBytes: 1_000_000,
    interconnectMode: 'None' as const,
    rendezvous: { address: null, secret: 'a group secret' },
    ...overrides,
    deadlines: { ...patientDeadlines, ...overrides.deadlines },
    engine: { name: 'Test', version: '1', args: [], ...overrides.engine },
  };
  const { namespace, deployment, groupIndex, incarnation, rank } = fields;
  return { id: `${namespace}/${deployment}/${groupIndex}/${incarnation}/${rank}`, ...fields };
};

export const nodeDocument = (
  ranks: RankAssignment[],
  { nodeName = 'mac-1', epoch = 1 }: { nodeName?: string; epoch?: number } = {},
): NodeDocument => createNodeDocument({ nodeName, epoch, ranks });

export const nodeReport = (overrides: Partial<NodeReport> = {}): NodeReport => ({
  nodeName: 'mac-1',
  instanceID: 'instance-1',
  bootId: 'boot-1',
  daemonVersion: '0.1.0',
  observedEpoch: 0,
  observedVersion: '',
  host: {
    hostID: 'host-1',
    model: 'linux-x64',
    chip: 'AMD EPYC',
    osVersion: 'debian 12',
    osBuild: '6.1.0',
    cpuCount: 2,
    memoryBytes: 8_589_934_592,
    address: '127.0.0.1',
  },
  engines: [{ name: 'Test', version: '1' }],
  links: [],
  cachedModels: [],
  ranks: [],
  ...overrides,
});
