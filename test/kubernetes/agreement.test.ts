import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { evaluate } from '@marcbachmann/cel-js';
import { parseAllDocuments } from 'yaml';
import { verdictOf } from '../../src/cli/status/verdict.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { simulateWrites } from '../controller/simulate-writes.ts';
import { runLua } from '../manifests/lua.ts';
import { recordings } from '../upgrade/unchanged.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { putInEtcd } from './support/etcd.ts';
import { kstatus } from './support/kstatus.ts';
import { installCRDs, kubectl } from './support/kubectl.ts';

/** What each tool says of one deployment: kstatus, Argo CD, Flux by CEL, `kubectl wait`, `espalier status`. */
type Row = readonly [kstatus: string, argo: string, cel: string, wait: string, espalier: string];

/** All that may ever be said together. Argo CD does not ask a script about what is being deleted. */
const table: readonly Row[] = [
  ['Current', 'Healthy', 'current', 'met', 'Ready'],
  ['Current', 'Suspended', 'current', 'met', 'Ready'],
  ['Failed', 'Degraded', 'failed', 'not met', 'Failed'],
  ['InProgress', 'Progressing', 'inProgress', 'not met', 'InProgress'],
  // Paused in the midst: neither Reconciling nor Stalled, and not Ready.
  ['InProgress', 'Suspended', 'inProgress', 'not met', 'InProgress'],
  ['Terminating', 'Progressing', 'any', 'any', 'InProgress'],
];

const healthScript = readFileSync(
  'manifests/argocd/resource_customizations/espalier.dev/ModelDeployment/health.lua',
  'utf8',
);

interface Expressions {
  inProgress: string;
  failed: string;
  current: string;
}

const expressions = (): Expressions => {
  const documents = parseAllDocuments(readFileSync('manifests/examples/flux.yaml', 'utf8'));
  const found = documents
    .map((document) => document.toJS() as { spec: { healthCheckExprs?: Expressions[] } })
    .find(({ spec }) => spec.healthCheckExprs);
  return found!.spec.healthCheckExprs![0]!;
};

/** In Flux's order; what none of them holds for is in progress. */
const byCel = ({ metadata, status }: ModelDeployment, texts: Expressions): string => {
  const object = structuredClone({ metadata, status });
  const names = ['inProgress', 'failed', 'current'] as const;
  return names.find((name) => evaluate(texts[name], object) === true) ?? 'inProgress';
};

/** kubectl's rule: an older observedGeneration of the condition does not count. */
const isMet = ({ metadata, status }: ModelDeployment): boolean =>
  status.conditions.some(
    (each) =>
      each.type === 'Ready' &&
      each.status === 'True' &&
      each.observedGeneration >= metadata.generation,
  );

/** From creation to deletion: before the first look, after an edit, and whatever a control plane wrote. */
const everyDeployment = async (): Promise<ModelDeployment[]> => {
  const { written } = await simulateWrites();
  const recorded = [...recordings().values()].flatMap(
    ({ objects }) => objects['espalier.dev/modeldeployments'] ?? [],
  ) as unknown as ModelDeployment[];
  const observed = [...written.filter(({ kind }) => kind === 'ModelDeployment'), ...recorded];
  const all = observed as ModelDeployment[];
  const edited = all.map((object) => ({
    ...object,
    metadata: { ...object.metadata, generation: object.metadata.generation + 1 },
  }));
  return [...all, ...edited];
};

let server: ApiServer;
let deployments: ModelDeployment[];
let rows: Row[];
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  deployments = await everyDeployment();
  const verdicts = await kstatus(deployments);
  const asked = deployments.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const answers = runLua<{ status: string }>(healthScript, asked);
  const healths = new Map(asked.map((object, index) => [object, answers[index]!.status]));
  const texts = expressions();
  rows = deployments.map((object, index) => {
    const { status } = verdicts[index]!;
    const isGoing = object.metadata.deletionTimestamp !== undefined;
    return [
      status,
      healths.get(object) ?? 'Progressing',
      isGoing ? 'any' : byCel(object, texts),
      isGoing ? 'any' : isMet(object) ? 'met' : 'not met',
      verdictOf(object).state,
    ];
  });
});
after(async () => server.stop());

test('kstatus, Argo CD, Flux, kubectl wait and espalier status agree on every object', () => {
  const known = new Set(table.map(String));
  for (const [index, row] of rows.entries()) {
    assert.ok(known.has(String(row)), `${row.join()}: ${JSON.stringify(deployments[index])}`);
  }
  assert.deepEqual([...new Set(rows.map(String))].toSorted(), [...known].toSorted());
  assert.ok(rows.length > 100, `only ${rows.length}`);
});

const samplesPerRow = 3;

test('kubectl wait says what its column says', async () => {
  for (const expected of table.filter(([status]) => status !== 'Terminating')) {
    const alike = deployments.filter((_, index) => String(rows[index]) === String(expected));
    for (const sample of alike.slice(0, samplesPerRow)) {
      const { metadata } = sample;
      await putInEtcd(server, 'modeldeployments', sample);
      const args = ['wait', '--for=condition=Ready', '--timeout=0', `mdep/${metadata.name}`];
      const { code, stderr } = await kubectl(server, args);
      assert.equal(code === 0 ? 'met' : 'not met', expected[3], stderr);
    }
  }
});
