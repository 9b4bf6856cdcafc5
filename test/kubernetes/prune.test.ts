import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { olderKubectls } from '../../scripts/setup/kube-test.ts';
import { eventually } from '../support/eventually.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { Cluster } from './support/cluster.ts';
import { installCRDs, kubectlOk } from './support/kubectl.ts';

let server: ApiServer;
let cluster: Cluster;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
  cluster = await Cluster.create(server);
  await cluster.startOperator();
});
after(async () => {
  await cluster.stop();
  await server.stop();
});

/** As Argo CD and Flux mark what they apply, too. */
const tracking = {
  labels: {
    team: 'a',
    'app.kubernetes.io/instance': 'models',
    'kustomize.toolkit.fluxcd.io/name': 'models',
  },
  annotations: { 'argocd.argoproj.io/tracking-id': 'models:espalier.dev/ModelDeployment:x/y' },
};

const list = (...names: string[]): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: names.map((name) => ({
      apiVersion: 'espalier.dev/v1alpha1',
      kind: 'ModelDeployment',
      metadata: { name, ...tracking },
      spec: { model: { uri: 'file://./examples/models/sprout', servedNames: [name] } },
    })),
  });

interface Owned {
  metadata: {
    name: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences: { name: string }[];
  };
}

const revisions = async (namespace: string): Promise<Owned[]> =>
  (
    JSON.parse(await kubectlOk(server, ['get', 'mdrev', '-n', namespace, '-o', 'json'])) as {
      items: Owned[];
    }
  ).items;

const ownersOfRevisions = async (namespace: string): Promise<string[]> =>
  (await revisions(namespace))
    .map(({ metadata }) => metadata.ownerReferences[0]?.name ?? '')
    .toSorted();

/** Every label and annotation by which anything prunes; the operator's own are of another group. */
const isTracked = ({ metadata: { labels = {}, annotations = {} } }: Owned): boolean =>
  Object.keys({ ...labels, ...annotations }).some((name) => !name.includes('espalier.dev/'));

const ways: Record<string, { args: string[]; env?: Record<string, string> }> = {
  allowlist: {
    args: ['-l', 'team=a', '--prune-allowlist=espalier.dev/v1alpha1/ModelDeployment'],
  },
  ApplySet: { args: ['--applyset=configmaps/models'], env: { KUBECTL_APPLYSET: 'true' } },
};

/** The newest and the oldest; ApplySet came with 1.27, and is alpha in all. */
for (const version of [undefined, olderKubectls()[0]]) {
  for (const [way, { args, env = {} }] of Object.entries(ways)) {
    const namespace = `${way.toLowerCase()}-${version?.replace('.', '-') ?? 'own'}`;
    test(`apply --prune by ${way} deletes what left the set, and what it owned (kubectl ${version ?? 'own'})`, async () => {
      await kubectlOk(server, ['create', 'namespace', namespace]);
      const apply = async (...names: string[]): Promise<string> => {
        const command = ['apply', '-n', namespace, '--prune', ...args, '-f', '-'];
        const options = {
          input: list(...names),
          env,
          ...(version === undefined ? {} : { version }),
        };
        return kubectlOk(server, command, options);
      };
      await apply('kept', 'left');
      await eventually('both have a revision', async () => {
        assert.deepEqual(await ownersOfRevisions(namespace), ['kept', 'left']);
        return true;
      });
      const before = await revisions(namespace);
      assert.deepEqual(before.filter(isTracked), []);
      assert.match(await apply('kept'), /left pruned/);
      await eventually('what it owned is gone', async () => {
        assert.deepEqual(await ownersOfRevisions(namespace), ['kept']);
        return true;
      });
      const names = await kubectlOk(server, ['get', 'mdep', '-n', namespace, '-o', 'name']);
      assert.equal(names.trim(), 'modeldeployment.espalier.dev/kept');
    });
  }
}
