import assert from 'node:assert/strict';
import { globSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { readDocuments } from '../../src/resources/documents.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';
import { seed } from '../support/seed.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { generateSpec } from './support/generate-spec.ts';
import { installCRDs, kubectl, kubectlOk } from './support/kubectl.ts';

const schemas = loadSchemas();
const generatedPerKind = 400;

let server: ApiServer;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  await kubectlOk(server, ['create', 'namespace', 'inference']);
});
after(async () => server.stop());

interface Verdict {
  accepted: boolean;
  spec?: unknown;
  why: string;
}

interface CustomObject {
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** What the directory store makes of it. */
const byDirectory = (object: CustomObject): Verdict => {
  const { objects, problems } = readDocuments(JSON.stringify(object), 'x.yaml', schemas);
  const why = problems.map(({ message }) => message).join('; ');
  return { accepted: problems.length === 0, spec: objects[0]?.spec, why };
};

/** What the API server makes of it, with the strictness of kubectl. */
const byServer = async (object: CustomObject): Promise<Verdict> => {
  const resource =
    object.kind === 'ClusterNode'
      ? 'clusternodes'
      : `namespaces/${object.metadata.namespace ?? 'default'}/modeldeployments`;
  const { status, body } = await server.request(
    'POST',
    `/apis/espalier.dev/v1alpha1/${resource}?dryRun=All&fieldValidation=Strict`,
    object,
  );
  const { spec, message = '' } = body as { spec?: unknown; message?: string };
  assert.ok([201, 400, 422].includes(status), `${status}: ${JSON.stringify(body)}`);
  return { accepted: status === 201, spec, why: message };
};

const assertSame = async (object: CustomObject): Promise<boolean> => {
  const [directory, remote] = [byDirectory(object), await byServer(object)];
  const what = `${JSON.stringify(object)}\ndirectory: ${directory.why}\nserver: ${remote.why}`;
  assert.equal(directory.accepted, remote.accepted, what);
  if (remote.accepted) assert.deepEqual(remote.spec, directory.spec, what);
  return remote.accepted;
};

test('the API server takes every example that the directory store takes, with the same defaults', async () => {
  const files = [
    ...globSync('examples/{quickstart,fleets/*,does-not-fit}/*.yaml'),
    ...globSync('test/resources/good/*.yaml'),
  ];
  assert.ok(files.length > 10);
  for (const file of files) {
    const { objects } = readDocuments(readFileSync(file, 'utf8'), file, schemas);
    const answer = await kubectlOk(server, ['apply', '--dry-run=server', '-o', 'json', '-f', file]);
    const read = JSON.parse(answer) as { items?: unknown[] };
    const served = (read.items ?? [read]) as (CustomObject & { spec: unknown })[];
    assert.deepEqual(
      served.map(({ kind, metadata, spec }) => ({ kind, name: metadata.name, spec })),
      objects.map(({ kind, metadata, spec }) => ({ kind, name: metadata.name, spec })),
      file,
    );
  }
});

/** What the directory store refuses and kubectl does not even tell the server. */
const readOtherwiseByKubectl: Readonly<Record<string, string>> = {
  'duplicate-key.yaml': 'the last of two equal keys counts',
  'duplicate-name.yaml': 'the second document replaces the first',
  'yes-is-a-string.yaml': 'YAML 1.1: yes is true',
};

test('the API server refuses every broken example, except where kubectl reads YAML otherwise', async () => {
  for (const name of readdirSync('examples/broken')) {
    const file = join('examples/broken', name);
    const { code, stdout } = await kubectl(server, ['apply', '--dry-run=server', '-f', file]);
    assert.equal(code === 0, name in readOtherwiseByKubectl, `${file}: ${stdout}`);
  }
});

for (const kind of ['ModelDeployment', 'ClusterNode']) {
  test(`${generatedPerKind} generated ${kind}s are taken or refused alike, with the same defaults (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const schema = schemas.kind(kind)?.root.properties?.['spec'] ?? {};
    let taken = 0;
    for (let index = 0; index < generatedPerKind; index += 1) {
      const spec = generateSpec(schema, random, index % 2 === 0 ? 0 : 0.06);
      const object = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata: { name: 'x' }, spec };
      if (await assertSame(object)) taken += 1;
    }
    assert.ok(taken > generatedPerKind / 10 && taken < generatedPerKind * 0.95, `${taken} taken`);
  });
}

const long = (length: number): string => 'a'.repeat(length);

test('names and labels are taken or refused alike', async () => {
  const spec = { model: { uri: 'file:///models/sprout' } };
  const metadata = [
    ...[
      'a',
      'a-b',
      'a.b',
      '-a',
      'a-',
      'A',
      'a_b',
      '1',
      '1a',
      '',
      long(54),
      long(55),
      long(300),
    ].map((name) => ({ name })),
    ...['default', 'inference', 'In', 'a.b', long(64)].map((namespace) => ({
      name: 'x',
      namespace,
    })),
    ...['', 'a', 'a b', long(63), long(64), '-a', 'A_b.c'].map((value) => ({
      name: 'x',
      labels: { key: value },
    })),
    ...[
      'a',
      'a/b',
      'example.com/a',
      'a/b/c',
      '/a',
      long(64),
      '-a',
      'Ex.com/a',
      'a..b/c',
      'a-/b',
      '.a/b',
      `${long(254)}/a`,
      `${'a.'.repeat(126)}a/a`,
    ].flatMap((key) => [
      { name: 'x', labels: { [key]: 'v' } },
      { name: 'x', annotations: { [key]: 'any thing' } },
    ]),
  ];
  for (const data of metadata) {
    for (const [kind, fields] of [
      ['ModelDeployment', spec],
      ['ClusterNode', {}],
    ] as const) {
      if (kind === 'ClusterNode' && 'namespace' in data) continue;
      const object = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata: data, spec: fields };
      const answer = await byServer(object).catch((error: unknown) => String(error));
      // A namespace that cannot be is one that is not there, or no path at all.
      const accepted = typeof answer === 'string' ? false : answer.accepted;
      const directory = byDirectory(object);
      assert.equal(directory.accepted, accepted, `${JSON.stringify(object)} ${directory.why}`);
    }
  }
});
