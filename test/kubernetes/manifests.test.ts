import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { createLogger } from '../../src/base/logger.ts';
import { startKubernetesOperator } from '../../src/cli/kubernetes-operator.ts';
import type { KubernetesOperator } from '../../src/cli/kubernetes-operator.ts';
import { eventually } from '../support/eventually.ts';
import { nodeReport } from '../support/node-documents.ts';
import { FaultProxy } from './proxy.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs, kubectl, kubectlOk } from './support/kubectl.ts';
import { prometheusOperatorCRDs } from './support/prometheus-operator.ts';

const serviceAccount = 'system:serviceaccount:espalier-system:espalier-operator';

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

let server: ApiServer;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
});
after(async () => server.stop());

const overlay = async (path: string): Promise<{ kind: string; text: string }[]> =>
  parseAllDocuments(await kubectlOk(server, ['kustomize', path])).map((document) => ({
    kind: (document.toJS() as { kind: string }).kind,
    text: String(document),
  }));

test('the server takes every object of every overlay, with the CRDs of the Prometheus operator', async () => {
  await kubectlOk(server, ['apply', '--server-side', '-f', 'manifests/base/namespace.yaml']);
  const files = prometheusOperatorCRDs().flatMap((file) => ['-f', file]);
  await kubectlOk(server, ['apply', '--server-side', ...files]);
  await kubectlOk(server, ['wait', '--for=condition=Established', '--timeout=60s', ...files]);
  const dryRun = ['apply', '--server-side', '--dry-run=server', '-f', '-'];
  for (const path of ['manifests/overlays/default', 'manifests/overlays/monitoring']) {
    const objects = await overlay(path);
    assert.ok(objects.length >= 12);
    const input = objects.map(({ text }) => text).join('---\n');
    // Established comes before the paths answer.
    await eventually('it takes them', async () => kubectlOk(server, dryRun, { input }), {
      timeoutMs: 60_000,
    });
  }
  const objects = await overlay('manifests/overlays/monitoring');
  const monitor = objects.find(({ kind }) => kind === 'ServiceMonitor')!.text;
  const wrong = monitor.replace('interval:', 'intervall:');
  assert.notEqual(wrong, monitor);
  const { code, stderr } = await kubectl(server, dryRun, { input: wrong });
  assert.equal(code, 1);
  assert.match(stderr, /intervall/);
});

test('the operator’s pods keep to the restricted standard, which its namespace enforces', async () => {
  const objects = await overlay('manifests/overlays/default');
  const deployment = objects.find(({ kind }) => kind === 'Deployment')!.text;
  assert.doesNotMatch(await warningsOf(deployment), /PodSecurity/);
  const loose = deployment.replace('allowPrivilegeEscalation: false', 'privileged: true');
  assert.match(await warningsOf(loose), /would violate PodSecurity "restricted/);
});

test('who may edit a namespace may edit its models and no nodes; who may view it, view both', async () => {
  await kubectlOk(server, ['apply', '--server-side', '-k', 'manifests/overlays/default']);
  const edit = [await can('espalier-edit', 'patch', 'modeldeployments')];
  edit.push(await can('espalier-edit', 'patch', 'clusternodes'));
  assert.deepEqual(edit, ['yes', 'no']);
  const view = [await can('espalier-view', 'get', 'modeldeployments')];
  view.push(await can('espalier-view', 'get', 'clusternodes'));
  view.push(await can('espalier-view', 'patch', 'modeldeployments'));
  assert.deepEqual(view, ['yes', 'yes', 'no']);
});

const can = async (role: string, verb: string, resource: string): Promise<string> => {
  const rules = (await rulesOf('clusterrole', role, [])).filter(
    ({ resources, verbs }) => resources.includes(resource) && verbs.includes(verb),
  );
  return rules.length > 0 ? 'yes' : 'no';
};

const warningsOf = async (text: string): Promise<string> => {
  const args = ['apply', '--server-side', '--dry-run=server', '-f', '-'];
  const { code, stderr } = await kubectl(server, args, { input: text });
  assert.equal(code, 0, stderr);
  return stderr;
};

const rulesOf = async (kind: string, name: string, args: string[]): Promise<Rule[]> =>
  JSON.parse(await kubectlOk(server, ['get', kind, name, ...args, '-o', 'json'])).rules as Rule[];

const triples = (rules: Rule[]): string[] =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${resource}.${group}`)),
    ),
  );

/** What a request needs, from the proxy's log: "PATCH write /apis/group/version/…  #0: none". */
const rightOf = (line: string): string => {
  const [method, kind, path] = line.split(' ');
  const verbs: Record<string, string> = { POST: 'create', PATCH: 'patch', DELETE: 'delete' };
  const parts = path!.split('/').filter(Boolean);
  const [group, rest] = parts[0] === 'api' ? ['', parts.slice(2)] : [parts[1], parts.slice(3)];
  const [resource, , subresource] =
    rest[0] === 'namespaces' && rest.length > 2 ? rest.slice(2) : rest;
  const verb = method === 'GET' ? kind : verbs[method!];
  return `${verb} ${[resource, subresource].filter(Boolean).join('/')}.${group}`;
};

interface Run {
  operator: KubernetesOperator;
  proxy: FaultProxy;
  /** Lines of its log. */
  lines: string[];
  stop(): Promise<void>;
}

/** An operator as its service account, through a proxy that notes what it asks for. */
const startOperator = async (): Promise<Run> => {
  const { url, certificateAuthority } = server;
  const proxy = await FaultProxy.start({ url, certificateAuthority, seed: 1 });
  const kubeconfig = join(server.folder, 'operator.kubeconfig');
  writeFileSync(kubeconfig, proxy.kubeconfig(await server.tokenFor(serviceAccount)), {
    mode: 0o600,
  });
  const lines: string[] = [];
  const operator = startKubernetesOperator({
    kubeconfig,
    namespace: 'espalier-system',
    identity: 'test',
    hub: { host: '127.0.0.1', port: 0 },
    router: { host: '127.0.0.1', port: 0 },
    advertise: { host: '10.9.8.7', port: 8080 },
    health: { host: '127.0.0.1', port: 0 },
    catalogueFiles: [],
    logger: createLogger({ name: 'test', destination: { write: (line) => lines.push(line) } }),
    onFenced: () => undefined,
  });
  operator.leading.catch(() => undefined);
  const stop = async () => {
    await operator.stop();
    await proxy.stop();
  };
  return { operator, proxy, lines, stop };
};

const conflict = { kind: 'status', status: 409, reason: 'Conflict' } as const;
const invalid = { kind: 'status', status: 422, reason: 'Invalid' } as const;

/**
 * What needs the rarer rights, once per kind: a server that streams no lists, which are then read in pages; and
 * somebody else who was faster, so that the object is read again.
 */
const scriptFaults = ({ script }: FaultProxy): void => {
  for (const resource of ['modeldeployments', 'clusternodes', 'modeldeploymentrevisions']) {
    const isOf = (path: string) => path.includes(`/${resource}`);
    script.push({ on: ({ kind, path }) => kind === 'watch' && isOf(path), fault: invalid });
    script.push({ on: ({ method, path }) => method === 'PATCH' && isOf(path), fault: conflict });
  }
};

/** A deployment and a node come, change, go back and go. */
const liveThrough = async ({ operator }: Run): Promise<void> => {
  const { hubUrl } = await operator.leading;
  const node = 'apiVersion: espalier.dev/v1alpha1\nkind: ClusterNode\nmetadata: {name: mac-1}\n';
  await kubectlOk(server, ['apply', '-f', '-'], { input: `${node}spec: {}\n` });
  await report(hubUrl);
  await kubectlOk(server, ['wait', '--for=condition=Ready', 'cnode/mac-1', '--timeout=30s']);
  await kubectlOk(server, ['apply', '-f', 'examples/quickstart/sprout.yaml']);
  await observed();
  for (const contextLength of [256, 128, 256, 512, 256]) {
    await patch({ spec: { revisionHistoryLimit: 2, runtime: { contextLength } } });
    await observed();
  }
  await patch({ spec: { revisionHistoryLimit: 0 } });
  await observed();
  await report(hubUrl);
  await kubectlOk(server, ['delete', 'mdep/sprout', '--timeout=60s']);
  await kubectlOk(server, ['delete', 'cnode/mac-1', '--wait=false']);
  await eventually(
    'the router is advertised',
    async () => (await routerAddresses()) === '10.9.8.7',
  );
  await eventually('the events are written', async () =>
    (await kubectlOk(server, ['get', 'events.events.k8s.io', '-A'])).includes('RollingOut'),
  );
};

const routerAddresses = async (): Promise<string> =>
  kubectlOk(server, [
    ...['get', 'endpointslices', 'espalier-router-ipv4', '-n', 'espalier-system'],
    ...['--ignore-not-found', '-o', 'jsonpath={.endpoints[*].addresses[*]}'],
  ]);

const patch = async (change: object): Promise<void> => {
  const text = JSON.stringify(change);
  await kubectlOk(server, ['patch', 'mdep/sprout', '--type=merge', '-p', text]);
};

const observed = async (): Promise<void> => {
  await eventually(
    'the newest spec is observed',
    async () => {
      const { metadata, status } = JSON.parse(
        await kubectlOk(server, ['get', 'mdep', 'sprout', '-o', 'json']),
      );
      return metadata.generation === status.observedGeneration;
    },
    { timeoutMs: 30_000 },
  );
};

const report = async (hubUrl: string): Promise<void> => {
  const response = await fetch(`${hubUrl}/v1/nodes/mac-1/report`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(nodeReport()),
  });
  assert.equal(response.status, 200);
};

test('the operator lives with the rights that it has, and uses each of them', async () => {
  const run = await startOperator();
  try {
    scriptFaults(run.proxy);
    await liveThrough(run);
  } finally {
    await run.stop();
  }
  assert.equal(await routerAddresses(), '', 'a router that has stopped is advertised no more');
  const used = new Set(run.proxy.log.map(rightOf));
  // They are made by server-side apply, which needs both rights when the object is not there yet.
  for (const made of ['services.', 'endpointslices.discovery.k8s.io']) {
    if (used.has(`patch ${made}`)) used.add(`create ${made}`);
  }
  const granted = triples([
    ...(await rulesOf('clusterrole', 'espalier-operator', [])),
    ...(await rulesOf('role', 'espalier-operator', ['-n', 'espalier-system'])),
  ]);
  assert.deepEqual([...used].toSorted(), granted.toSorted());
  assert.deepEqual(
    run.lines.filter((line) => /forbidden/i.test(line)),
    [],
  );
});

test('without any one of its rules it is refused', async () => {
  const files = ['cluster-role', 'role'].map((name) => `manifests/base/${name}.yaml`);
  const roles = files.map((file) => parseAllDocuments(readFileSync(file, 'utf8'))[0]!.toJS());
  const resources = ['clusterrole', 'role'];
  for (const [index, role] of roles.entries()) {
    const target = [resources[index]!, 'espalier-operator', '-n', 'espalier-system'];
    const setRules = async (rules: Rule[]): Promise<void> => {
      const change = JSON.stringify({ rules });
      await kubectlOk(server, ['patch', ...target, '--type=merge', '-p', change]);
    };
    const { rules } = role as { rules: Rule[] };
    for (const rule of rules) {
      await setRules(rules.filter((other) => other !== rule));
      for (const verb of rule.verbs) await isRefused(rule, verb);
    }
    await setRules(rules);
  }
});

/** By the server's own authoriser, for each thing that the rule allowed. */
const isRefused = async (rule: Rule, verb: string): Promise<void> => {
  for (const name of rule.resources) {
    const [resource, subresource] = name.split('/');
    const resourceAttributes = {
      verb,
      group: rule.apiGroups[0],
      resource,
      ...(subresource === undefined ? {} : { subresource }),
      namespace: 'espalier-system',
      ...(rule.resourceNames ? { name: rule.resourceNames[0] } : {}),
    };
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: serviceAccount, resourceAttributes },
    };
    await eventually(`${verb} ${name} is refused`, async () => {
      const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
      const { body } = await server.request('POST', path, review);
      return !(body as { status: { allowed: boolean } }).status.allowed;
    });
  }
};

test('a stranger reads no group key', async () => {
  const path = await server.kubeconfigFor('system:serviceaccount:espalier-system:default');
  const { code, stderr } = await kubectl(
    server,
    ['get', 'secret', 'espalier-group-key', '-n', 'espalier-system'],
    { kubeconfigPath: path },
  );
  assert.equal(code, 1);
  assert.match(stderr, /forbidden/i);
});
