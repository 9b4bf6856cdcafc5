import { createHash } from 'node:crypto';
import type { NodeDocument, RankAssignment } from '../../src/nodedoc/types.ts';
import type { FakeObject } from '../support/fake-api-server.ts';
import type { SimNode, SimRank } from '../support/sim-node.ts';
import type { World } from '../sim/world.ts';

/** What one version of the operator left behind at one moment, while nothing was on its way. */
export interface Recording {
  /** What is to be seen in it. */
  scene: string;
  /** When that was; all times in it are before. */
  time: string;
  /** By `group/plural`, as the API server had them. Without the group key: everybody here has the same. */
  objects: Record<string, FakeObject[]>;
  nodes: RecordedNode[];
}

interface RecordedNode {
  name: string;
  isUp: boolean;
  isCutOff: boolean;
  boots: number;
  memoryBytes: number;
  decodeTokensPerSecond: number | null;
  /** What the daemon obeys, secrets by their hash; none before its first. */
  document: NodeDocument | null;
  ranks: Record<string, Omit<SimRank, 'nextMs'>>;
}

const collections = [
  'espalier.dev/clusternodes',
  'espalier.dev/modeldeployments',
  'espalier.dev/modeldeploymentrevisions',
  'coordination.k8s.io/leases',
];

/** Of no use to anybody: groups that never ran. */
export const groupKey: FakeObject & { data: object } = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {
    namespace: 'espalier-system',
    name: 'espalier-group-key',
    uid: '00000000-0000-4000-8000-000000000000',
    resourceVersion: '',
    creationTimestamp: '2026-11-23T00:00:00Z',
  },
  data: { key: Buffer.alloc(32, 'upgrade').toString('base64') },
};

const masked = (secret: string): string =>
  `sha256:${createHash('sha256').update(secret).digest('hex')}`;

const maskedRank = (rank: RankAssignment): RankAssignment => ({
  ...rank,
  rendezvous: { ...rank.rendezvous, secret: masked(rank.rendezvous.secret) },
});

/** Equal for equal documents, whichever control plane handed them out. */
export const maskedDocument = (document: NodeDocument) => ({
  ...document,
  epoch: 0,
  ranks: document.ranks.map(maskedRank),
});

const recordedRanks = ({ ranks }: SimNode): RecordedNode['ranks'] =>
  Object.fromEntries(
    [...ranks]
      .toSorted(([left], [right]) => left.localeCompare(right))
      .map(([id, { assignment, state, error }]) => [
        id,
        { assignment: maskedRank(assignment), state, ...(error && { error }) },
      ]),
  );

export const record = (scene: string, world: World): Recording => {
  const documents = new Map(
    world.fleet.documents().map((document) => [document.nodeName, document]),
  );
  return {
    scene,
    time: world.clock.now().toISOString(),
    objects: Object.fromEntries(collections.map((name) => [name, world.server.objects(name)])),
    nodes: world.fleet.nodes.map((node) => {
      const { name, isUp, isCutOff, memoryBytes, decodeTokensPerSecond = null } = node;
      const document = documents.get(name);
      return {
        name,
        isUp,
        isCutOff,
        boots: Number(node.report().bootId.split('-')[1]),
        memoryBytes,
        decodeTokensPerSecond,
        document: document ? { ...maskedDocument(document), epoch: document.epoch } : null,
        ranks: recordedRanks(node),
      };
    }),
  };
};

const timePattern = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

/** The same text with every time in it moved, to the precision that it has; messages have times too. */
const movedText = (text: string, byMs: number): string =>
  text.replaceAll(timePattern, (time) => {
    const moved = new Date(Date.parse(time) + byMs).toISOString();
    return moved.slice(0, 19) + time.slice(19);
  });

/** A recording as it would be if it had been made at that time. */
export const movedTo = <T>(value: T, fromTime: string, toTime: Date): T => {
  const byMs = Math.round((toTime.getTime() - Date.parse(fromTime)) / 1000) * 1000;
  const move = (part: unknown): unknown => {
    if (typeof part === 'string') return movedText(part, byMs);
    if (Array.isArray(part)) return part.map(move);
    if (typeof part !== 'object' || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([name, field]) => [name, move(field)]));
  };
  return move(value) as T;
};
