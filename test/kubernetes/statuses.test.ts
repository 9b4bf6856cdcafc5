import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ModelDeploymentRevision } from '../../src/resources/types.ts';
import { simulateWrites } from '../controller/simulate-writes.ts';
import type { Written } from '../controller/simulate-writes.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs } from './support/kubectl.ts';

let server: ApiServer;
let written: Written[];
let revisions: Map<string, ModelDeploymentRevision>;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  ({ written, revisions } = await simulateWrites());
});
after(async () => server.stop());

test('the server takes every status that a control plane writes, and gives it back as it was', async () => {
  const created = new Set<string>();
  for (const { kind, metadata, spec: wanted, status } of written) {
    const path =
      kind === 'ClusterNode'
        ? '/apis/espalier.dev/v1alpha1/clusternodes'
        : '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments';
    const { name } = metadata;
    const object = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata: { name }, spec: wanted };
    if (!created.has(`${kind}/${name}`)) {
      const { status: code, body } = await server.request('POST', path, object);
      assert.equal(code, 201, JSON.stringify(body));
      created.add(`${kind}/${name}`);
    }
    const { status: code, body } = await server.request(
      'PATCH',
      `${path}/${name}/status?dryRun=All&fieldValidation=Strict&fieldManager=test&force=true`,
      { ...object, spec: undefined, status },
      { contentType: 'application/apply-patch+yaml' },
    );
    assert.equal(code, 200, `${JSON.stringify(body)}\n${JSON.stringify(status)}`);
    assert.deepEqual((body as Written).status, JSON.parse(JSON.stringify(status)));
  }
  assert.ok(written.length > 60, `only ${written.length} statuses`);
});

test('the server takes every revision that a control plane writes; its snapshot cannot change after that', async () => {
  const path = '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeploymentrevisions';
  for (const revision of revisions.values()) {
    const { name, labels } = revision.metadata;
    const object = { ...revision, metadata: { name, labels } };
    const created = await server.request('POST', `${path}?fieldValidation=Strict`, object);
    assert.equal(created.status, 201, JSON.stringify(created.body));
    const { hash, data } = created.body as ModelDeploymentRevision;
    assert.deepEqual({ hash, data }, { hash: revision.hash, data: revision.data });
    const patch = async (change: object): Promise<number> => {
      const options = { contentType: 'application/merge-patch+json' };
      return (await server.request('PATCH', `${path}/${name}`, change, options)).status;
    };
    assert.equal(await patch({ hash: 'ffff' }), 422);
    assert.equal(await patch({ data: { objective: 'Efficiency' } }), 422);
    // Taken up again: the one thing that changes.
    assert.equal(await patch({ revision: 1000 }), 200);
  }
  assert.ok(revisions.size > 3, `only ${revisions.size} revisions`);
});
