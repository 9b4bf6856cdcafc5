import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { kstatus } from './support/kstatus.ts';
import { installCRDs, kubectlOk } from './support/kubectl.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
});
after(async () => server.stop());

const path = '/apis/espalier.dev/v1alpha1/namespaces/default/modeldeployments';

/** `Type=Status`, in the order of the list. */
const conditions = (...texts: string[]): object[] =>
  texts.map((text) => {
    const [type, status] = text.split('=');
    const lastTransitionTime = '2026-11-23T10:00:00Z';
    return {
      type,
      status,
      reason: 'Because',
      message: 'It is so.',
      observedGeneration: 2,
      lastTransitionTime,
    };
  });

const cases: { title: string; status?: object; isDeleted?: boolean; expected: string }[] = [
  { title: 'nothing was looked at yet', expected: 'InProgress' },
  {
    title: 'an older generation is ready',
    status: { observedGeneration: 1, conditions: conditions('Ready=True') },
    expected: 'InProgress',
  },
  {
    title: 'this generation is ready',
    status: { observedGeneration: 2, conditions: conditions('Ready=True', 'Degraded=True') },
    expected: 'Current',
  },
  {
    title: 'it is on its way',
    status: { observedGeneration: 2, conditions: conditions('Ready=False', 'Reconciling=True') },
    expected: 'InProgress',
  },
  {
    title: 'it needs its user',
    status: { observedGeneration: 2, conditions: conditions('Ready=False', 'Stalled=True') },
    expected: 'Failed',
  },
  {
    title: 'it is not ready, and neither stalled nor reconciling',
    status: { observedGeneration: 2, conditions: conditions('Ready=False') },
    expected: 'InProgress',
  },
  {
    title: 'nobody knows',
    status: { observedGeneration: 2, conditions: conditions('Ready=Unknown') },
    expected: 'InProgress',
  },
  {
    title: 'it is ready and being deleted',
    status: { observedGeneration: 2, conditions: conditions('Ready=True') },
    isDeleted: true,
    expected: 'Terminating',
  },
];

test('kstatus says of what the server stores what our conditions mean', async () => {
  const objects: unknown[] = [];
  for (const [index, { status, isDeleted }] of cases.entries()) {
    const name = `case-${index}`;
    const spec = { model: { uri: 'file:///models/sprout' } };
    const metadata = { name, finalizers: ['espalier.dev/test'] };
    const object = { apiVersion: 'espalier.dev/v1alpha1', kind: 'ModelDeployment', metadata, spec };
    await kubectlOk(server, ['create', '-f', '-'], { input: JSON.stringify(object) });
    await kubectlOk(server, ['scale', `mdep/${name}`, '--replicas=2']);
    if (status) {
      const options = { contentType: 'application/merge-patch+json' };
      const answer = await server.request('PATCH', `${path}/${name}/status`, { status }, options);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
    }
    if (isDeleted) await kubectlOk(server, ['delete', `mdep/${name}`, '--wait=false']);
    objects.push((await server.request('GET', `${path}/${name}`)).body);
  }
  const verdicts = await kstatus(objects);
  assert.deepEqual(
    verdicts.map(({ status }, index) => `${cases[index]?.title}: ${status}`),
    cases.map(({ title, expected }) => `${title}: ${expected}`),
  );
});
