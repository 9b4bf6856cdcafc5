import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { olderKubectls } from '../../scripts/setup/kube-test.ts';
import { startApiServer } from './support/api-server.ts';
import type { ApiServer } from './support/api-server.ts';
import { installCRDs, kubectl, kubectlOk } from './support/kubectl.ts';
import type { CommandResult } from './support/kubectl.ts';

let server: ApiServer;
before(async () => {
  server = await startApiServer();
  await installCRDs(server);
});
after(async () => server.stop());

const deployment = (name: string, spec: object = {}, labels?: Record<string, string>): string =>
  JSON.stringify({
    apiVersion: 'espalier.dev/v1alpha1',
    kind: 'ModelDeployment',
    metadata: { name, ...(labels && { labels }) },
    spec: { model: { uri: 'file:///models/sprout' }, ...spec },
  });

const list = (...items: string[]): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'List',
    items: items.map((item) => JSON.parse(item) as unknown),
  });

const condition = (type: string, status: string, observedGeneration: number): object => ({
  type,
  status,
  observedGeneration,
  reason: 'RolledOut',
  message: 'All groups are ready.',
  lastTransitionTime: '2026-11-23T10:00:00Z',
});

/** kubectl of one version in a namespace of its own, and what stands in for the operator. */
interface Client {
  run: (args: string[], input?: string) => Promise<CommandResult>;
  /** What must work; its standard output. */
  ok: (args: string[], input?: string) => Promise<string>;
  apply: (text: string, ...flags: string[]) => Promise<string>;
  generation: (name: string) => Promise<string>;
  patch: (name: string, change: object) => Promise<void>;
  setStatus: (name: string, status: object) => Promise<void>;
}

const clientOf = (version: string | undefined, namespace: string): Client => {
  const run: Client['run'] = async (args, input) =>
    kubectl(server, ['-n', namespace, ...args], {
      ...(version !== undefined && { version }),
      ...(input !== undefined && { input }),
    });
  const ok: Client['ok'] = async (args, input) => {
    const { code, stdout, stderr } = await run(args, input);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
  const patch: Client['patch'] = async (name, change) => {
    const path = `/apis/espalier.dev/v1alpha1/namespaces/${namespace}/modeldeployments/${name}`;
    const { status, body } = await server.request('PATCH', path, change, {
      contentType: 'application/merge-patch+json',
    });
    assert.equal(status, 200, JSON.stringify(body));
  };
  return {
    run,
    ok,
    patch,
    apply: async (text, ...flags) => ok(['apply', ...flags, '-f', '-'], text),
    generation: async (name) => ok(['get', 'mdep', name, '-o', 'jsonpath={.metadata.generation}']),
    setStatus: async (name, status) => patch(`${name}/status`, { status }),
  };
};

const facts: Record<string, (client: Client) => Promise<void>> = {
  'get shows model, readiness, replicas, interconnect, speed and age': async ({
    ok,
    apply,
    setStatus,
  }) => {
    await apply(deployment('columns', { replicas: 2 }));
    await setStatus('columns', {
      observedGeneration: 1,
      replicas: 2,
      readyReplicas: 2,
      conditions: [condition('Ready', 'True', 1)],
      plan: {
        hash: 'x',
        strategy: 'Tensor',
        tensorSize: 2,
        pipelineSize: 1,
        interconnectMode: 'TCP',
        engine: 'Builtin',
        explanation: 'Two halves.',
      },
      observed: { decodeTokensPerSecond: '41.5' },
    });
    const [head = '', line = ''] = (await ok(['get', 'mdep', 'columns'])).split('\n');
    assert.deepEqual(
      head.split(/ {2,}/).map((name) => name.trim()),
      ['NAME', 'MODEL', 'READY', 'REPLICAS', 'INTERCONNECT', 'TOK/S', 'AGE'],
    );
    assert.match(line, /^columns +file:\/\/\/models\/sprout +True +2 +TCP +41\.5 +\d+s$/);
  },

  'diff says nothing of what is as applied, and shows what would change': async ({
    run,
    apply,
    generation,
  }) => {
    await apply(deployment('diffed'));
    assert.deepEqual(await run(['diff', '-f', '-'], deployment('diffed')), {
      code: 0,
      stdout: '',
      stderr: '',
    });
    const { code, stdout } = await run(['diff', '-f', '-'], deployment('diffed', { paused: true }));
    assert.equal(code, 1);
    assert.match(stdout, /^\+ {2}paused: true$/m);
    assert.doesNotMatch(stdout, /^[+-] {2}(?!paused|generation)[a-z]/m);
    assert.equal(await generation('diffed'), '1');
  },

  'scale changes replicas and nothing else': async ({ run, ok, apply, generation }) => {
    await apply(deployment('scaled'));
    await ok(['scale', 'mdep/scaled', '--replicas=3']);
    assert.equal(await ok(['get', 'mdep/scaled', '-o', 'jsonpath={.spec.replicas}']), '3');
    assert.equal(await generation('scaled'), '2');
    assert.equal((await run(['scale', 'mdep/scaled', '--replicas=65'])).code, 1);
    const refused = await run(['scale', 'mdep/scaled', '--current-replicas=1', '--replicas=2']);
    assert.equal(refused.code, 1);
  },

  'server-side apply: a dry run tells the defaults and keeps nothing; two managers conflict':
    async ({ run, ok, apply }) => {
      const dry = await apply(
        deployment('owned'),
        '--server-side',
        '--dry-run=server',
        '-o',
        'jsonpath={.spec.runtime.contextLength}',
      );
      assert.match(dry, /^\d+$/);
      assert.equal((await run(['get', 'mdep', 'owned'])).code, 1);

      await apply(deployment('owned', { replicas: 1 }), '--server-side', '--field-manager=a');
      const other = deployment('owned', { replicas: 2 });
      const flags = ['apply', '--server-side', '--field-manager=b', '-f', '-'];
      const { code, stderr } = await run(flags, other);
      assert.equal(code, 1);
      assert.match(stderr, /conflicts? with "a"/);
      await ok([...flags, '--force-conflicts'], other);
    },

  'what is not valid is refused with the field and the rule, and unknown fields by name': async ({
    run,
  }) => {
    const wrong = { parallelism: { strategy: 'Pipeline', tensorSize: 2 } };
    const rule = await run(['apply', '-f', '-'], deployment('wrong', wrong));
    assert.equal(rule.code, 1);
    assert.match(
      rule.stderr,
      /spec.parallelism.tensorSize: .*used only by strategy Tensor or Hybrid/,
    );
    const unknown = await run(['apply', '-f', '-'], deployment('wrong', { replcas: 2 }));
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /unknown field "spec.replcas"/);
  },

  'apply --prune deletes what left the set and keeps what it never applied': async ({
    ok,
    apply,
  }) => {
    const label = { team: 'a' };
    const prune = [
      '--prune',
      '-l',
      'team=a',
      '--prune-allowlist=espalier.dev/v1alpha1/ModelDeployment',
    ];
    await apply(list(deployment('kept', {}, label), deployment('left', {}, label)), ...prune);
    // Made by a controller: neither labels nor the annotation of an apply.
    await ok(['create', '-f', '-'], deployment('controllers-own'));
    assert.match(await apply(list(deployment('kept', {}, label)), ...prune), /left pruned/);
    const names = await ok(['get', 'mdep', '-o', 'name']);
    assert.match(names, /\/kept$/m);
    assert.match(names, /\/controllers-own$/m);
    assert.doesNotMatch(names, /\/left$/m);
  },

  'wait for Ready ends once this generation is ready, and not for a ready one before it': async ({
    run,
    ok,
    apply,
    setStatus,
  }) => {
    await apply(deployment('waited'));
    const wait = ['wait', '--for=condition=Ready', 'mdep/waited'];
    await setStatus('waited', {
      observedGeneration: 1,
      conditions: [condition('Ready', 'True', 1)],
    });
    await ok([...wait, '--timeout=20s']);

    await apply(deployment('waited', { replicas: 2 }));
    const stale = await run([...wait, '--timeout=1s']);
    assert.equal(stale.code, 1);
    assert.match(stale.stderr, /timed out/);

    const waiting = run([...wait, '--timeout=60s']);
    await setStatus('waited', {
      observedGeneration: 2,
      conditions: [condition('Ready', 'True', 2)],
    });
    assert.equal((await waiting).code, 0);
    await ok([
      'wait',
      '--for=jsonpath={.status.observedGeneration}=2',
      'mdep/waited',
      '--timeout=20s',
    ]);
  },

  'delete waits until the finalizer is gone': async ({ run, ok, apply, patch }) => {
    await apply(deployment('deleted'));
    await patch('deleted', { metadata: { finalizers: ['espalier.dev/ranks-stopped'] } });
    assert.equal((await run(['delete', 'mdep/deleted', '--timeout=1s'])).code, 1);
    const shown = await ok(['get', 'mdep/deleted', '-o', 'jsonpath={.metadata.deletionTimestamp}']);
    assert.match(shown, /^\d{4}-/);
    const gone = run(['wait', '--for=delete', 'mdep/deleted', '--timeout=60s']);
    await patch('deleted', { metadata: { finalizers: null } });
    assert.equal((await gone).code, 0);
  },
};

for (const version of [undefined, ...olderKubectls()]) {
  const namespace = `v${(version ?? 'own').replace('.', '-')}`;
  void describe(`kubectl ${version ?? 'of the server'}`, () => {
    before(async () => {
      await kubectlOk(server, ['create', 'namespace', namespace]);
    });
    for (const [title, check] of Object.entries(facts)) {
      test(title, async () => check(clientOf(version, namespace)));
    }
  });
}
