import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { evaluate } from '@marcbachmann/cel-js';
import { parseAllDocuments } from 'yaml';
import { verdictOf } from '../../src/cli/status/verdict.ts';
import { simulateWrites } from '../controller/simulate-writes.ts';

const documents = <Kind>(file: string): Kind[] =>
  parseAllDocuments(readFileSync(`manifests/examples/${file}`, 'utf8')).map(
    (document) => document.toJS() as Kind,
  );

interface Application {
  metadata: { name: string };
  spec: { source: { repoURL: string; path: string } };
}

test('the Applications of Argo CD point to folders that exist', () => {
  const ours = documents<Application>('argocd.yaml').filter(({ spec }) =>
    spec.source.repoURL.endsWith('/espalier.git'),
  );
  assert.equal(ours.length, 2);
  for (const { spec } of ours) assert.ok(existsSync(spec.source.path), spec.source.path);
});

interface Kustomization {
  metadata: { name: string };
  spec: { healthCheckExprs?: { inProgress: string; failed: string; current: string }[] };
}

test('Flux’s expressions say of every status that a control plane writes what kstatus says', async () => {
  const models = documents<Kustomization>('flux.yaml').find(
    ({ metadata }) => metadata.name === 'models',
  );
  const [expressions] = models!.spec.healthCheckExprs!;
  const { written } = await simulateWrites();
  const seen = new Set<string>();
  for (const object of written) {
    if (object.kind !== 'ModelDeployment' || object.metadata.deletionTimestamp) continue;
    const { metadata, status } = structuredClone(object);
    const holds = (expression: string) => evaluate(expression, { metadata, status }) === true;
    const { inProgress, failed, current } = expressions!;
    const said = holds(inProgress)
      ? 'InProgress'
      : holds(failed)
        ? 'Failed'
        : holds(current)
          ? 'Ready'
          : 'InProgress';
    assert.equal(said, verdictOf(object).state, JSON.stringify(status));
    seen.add(said);
  }
  assert.equal(seen.size, 3);
});

test('the launchd plist is well-formed and starts espalier node', () => {
  const text = readFileSync('manifests/launchd/dev.espalier.node.plist', 'utf8');
  const open: string[] = [];
  const body = text.replaceAll(/<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^>]*>/gs, '');
  for (const [, close, name, empty] of body.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g)) {
    if (close) assert.equal(open.pop(), name);
    else if (!empty) open.push(name!);
  }
  assert.deepEqual(open, []);
  const [, dict = ''] = /<dict>(.*)<\/dict>/s.exec(body) ?? [];
  const outer = dict.replace(/<dict>.*?<\/dict>|<array>.*?<\/array>/gs, '<value/>');
  assert.equal(
    outer.match(/<key>/g)?.length,
    (outer.match(/<(true|false|value)\/>|<(string|integer)>/g) ?? []).length,
  );
  const words = [
    ...(/<array>(.*?)<\/array>/s.exec(body)?.[1] ?? '').matchAll(/<string>(.*?)<\/string>/g),
  ];
  assert.deepEqual(words.map(([, word]) => word).slice(2, 5), ['node', '--name', 'mini-1']);
});
