import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { loadSchemas } from '../../src/resources/schemas.ts';
import type { StructuralSchema } from '../../src/resources/structural-schema.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs, kubectl, kubectlOk } from './support/kubectl.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
});
after(async () => server.stop());

const minimal = {
  ModelDeployment: { model: { uri: 'file:///models/sprout' } },
  ClusterNode: {},
};

test('the server takes every CRD, CEL costs included, and finds nothing to warn of in its schema', async () => {
  for (const file of readdirSync('crds')) {
    const { code, stderr } = await kubectl(server, [
      'apply',
      '--dry-run=server',
      '-f',
      `crds/${file}`,
    ]);
    assert.equal(code, 0, stderr);
    const name = file.replace(/\.yaml$/, '');
    const read = await kubectlOk(server, ['get', `crd/${name}`, '-o', 'json']);
    const { conditions } = (
      JSON.parse(read) as { status: { conditions: { type: string; status: string }[] } }
    ).status;
    const isTrue = (type: string): boolean =>
      conditions.some((condition) => condition.type === type && condition.status === 'True');
    assert.ok(isTrue('NamesAccepted') && isTrue('Established'), read);
    assert.ok(!isTrue('NonStructuralSchema'), read);
  }
});

test('each CRD fits into the annotation of client-side apply, as the server stores it', async () => {
  for (const file of readdirSync('crds')) {
    const stored = await kubectlOk(server, ['get', '-f', `crds/${file}`, '-o', 'json']);
    assert.ok(Buffer.byteLength(JSON.stringify(JSON.parse(stored))) < 200_000, file);
  }
});

for (const [kind, spec] of Object.entries(minimal)) {
  test(`a fresh ${kind} has the observed generation -1 and is in progress for everyone`, async () => {
    const name = `fresh-${kind.toLowerCase()}`;
    const object = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata: { name }, spec };
    const created = await kubectlOk(server, ['create', '-o', 'json', '-f', '-'], {
      input: JSON.stringify(object),
    });
    const { metadata, status } = JSON.parse(created) as {
      metadata: { generation: number };
      status: { observedGeneration: number; conditions: unknown[] };
    };
    assert.equal(status.observedGeneration, -1);
    assert.deepEqual(status.conditions, []);
    assert.equal(metadata.generation, 1);
  });
}

/** Paths of everything that has fields, `mdep.spec.model` for instance. */
const objectPaths = (schema: StructuralSchema, path: string): string[] => {
  const inner = schema.items ?? schema;
  const fields = Object.entries(inner.properties ?? {});
  if (fields.length === 0) return [];
  return [path, ...fields.flatMap(([name, field]) => objectPaths(field, `${path}.${name}`))];
};

for (const [kind, resource] of [
  ['ModelDeployment', 'mdep'],
  ['ClusterNode', 'cnode'],
  ['ModelDeploymentRevision', 'mdrev'],
] as const) {
  test(`kubectl explain has words for every field of a ${kind}`, async () => {
    const root = loadSchemas().kind(kind)?.root ?? {};
    const paths = objectPaths(root, resource).filter((path) => path !== `${resource}.metadata`);
    for (const path of paths) {
      const text = await kubectlOk(server, ['explain', path]);
      assert.doesNotMatch(text, /<no description>|<empty>/, `${path}\n${text}`);
    }
    assert.ok(paths.length > 3);
  });
}

test('the short names and the category work', async () => {
  const resources = await kubectlOk(server, [
    'api-resources',
    '--api-group=espalier.dev',
    '-o',
    'wide',
  ]);
  for (const [plural, short] of [
    ['modeldeployments', 'mdep'],
    ['clusternodes', 'cnode'],
    ['modeldeploymentrevisions', 'mdrev'],
  ]) {
    assert.match(resources, new RegExp(`^${plural} +${short} +espalier.dev/v1alpha1`, 'm'));
  }
  assert.match(
    await kubectlOk(server, ['get', 'inference']),
    /modeldeployment.espalier.dev\/fresh/,
  );
});

test('kubectl explain shows the fields that the CRD has, and no others', async () => {
  const shown = await kubectlOk(server, ['explain', '--recursive', 'mdep.spec']);
  const fields = readFileSync(join('crds', 'modeldeployments.espalier.dev.yaml'), 'utf8');
  for (const [, name] of shown.matchAll(/^ {2,}(\w+)\t/gm)) {
    assert.match(fields, new RegExp(`^ +${name}:`, 'm'));
  }
});
