import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from '../../support/fast-check.ts';
import { parseAllDocuments } from 'yaml';
import { editYaml } from '../../../src/cli/edit/yaml-edit.ts';

const key = { kind: 'ModelDeployment', namespace: 'default', name: 'sprout' } as const;

const text = `# The fleet's own words.
kind: ClusterNode
metadata: { name: sprout }
spec: {}   # not this one
---
# One small model.
kind: ModelDeployment
metadata:
  name: sprout   # without a namespace: default
spec:
  model:
    uri: "file://./m"     # where it is
    servedNames: [sprout, "small one"]
  runtime:
    contextLength: 512 # tokens
    maxConcurrentRequests: 4
  parallelism: # cut in two
    strategy: Tensor
    tensorSize: 2
  # last, and least
  degradation: {allow: [FewerNodes]}
---
kind: Service
`;

const edited = (patch: unknown, source = text): string => editYaml(source, key, patch) ?? '';
/** The lines that differ, each with its mark. */
const changes = (patch: unknown): string[] => {
  const before = text.split('\n');
  const after = edited(patch).split('\n');
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `-${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `+${line}`),
  ];
};

test('a value is replaced where it stands: quotes, spaces and comments around it stay', () => {
  assert.deepEqual(changes({ runtime: { contextLength: 1024 } }), [
    '-    contextLength: 512 # tokens',
    '+    contextLength: 1024 # tokens',
  ]);
  assert.deepEqual(changes({ model: { uri: 'file://./n' } }), [
    '-    uri: "file://./m"     # where it is',
    '+    uri: file://./n     # where it is',
  ]);
});

test('a list within brackets stays within brackets', () => {
  assert.deepEqual(changes({ model: { servedNames: ['a b', 'c'] } }), [
    '-    servedNames: [sprout, "small one"]',
    '+    servedNames: [a b, c]',
  ]);
});

test('a new field comes last in its mapping, and new mappings are made for it', () => {
  assert.deepEqual(changes({ paused: true }), ['+  paused: true']);
  assert.deepEqual(changes({ runtime: { version: '1.0' } }), ['+    version: "1.0"']);
  assert.deepEqual(changes({ strategy: { rollingUpdate: { maxSurge: 1 } } }), [
    '+  strategy:',
    '+    rollingUpdate:',
    '+      maxSurge: 1',
  ]);
});

test('a field that goes takes its line with it, a mapping all of its lines', () => {
  assert.deepEqual(changes({ parallelism: { tensorSize: null } }), ['-    tensorSize: 2']);
  assert.deepEqual(changes({ parallelism: null }), [
    '-  parallelism: # cut in two',
    '-    strategy: Tensor',
    '-    tensorSize: 2',
  ]);
  assert.deepEqual(changes({ paused: null }), []);
});

test('what stands within braces is changed with every comment kept', () => {
  const after = edited({ degradation: { minTokensPerSecond: 3 } });
  assert.match(after, /degradation: \{ ?allow: \[ ?FewerNodes ?\], minTokensPerSecond: 3 ?\}/);
  for (const [comment] of text.matchAll(/# .*$/gm)) assert.ok(after.includes(comment), comment);
});

test('a document that is not there is not edited, whatever else has its name', () => {
  assert.equal(editYaml(text, { ...key, name: 'other' }, { paused: true }), undefined);
  assert.equal(editYaml(text, { ...key, namespace: 'team' }, { paused: true }), undefined);
  const node = editYaml(text, { kind: 'ClusterNode', name: 'sprout' }, { unschedulable: true });
  assert.match(node ?? '', /metadata: \{ name: sprout \}\nspec: \{ ?unschedulable: true ?\}/);
});

test('any patch gives the spec it asks for and leaves all other documents as they were', () => {
  const value = fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.string(),
    fc.array(fc.string(), { maxLength: 3 }),
    fc.constant(null),
  );
  const section = (...names: string[]) =>
    fc.dictionary(fc.constantFrom(...names), value, { minKeys: 1, maxKeys: 3 });
  const patch = fc.record(
    {
      runtime: section('contextLength', 'version', 'maxConcurrentRequests'),
      parallelism: section('strategy', 'tensorSize', 'pipelineSize'),
      degradation: section('allow', 'minTokensPerSecond'),
      paused: value,
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(patch, (changed) => {
      const [first, second, third] = parseAllDocuments(edited(changed)).map((document) => ({
        text: document.toString(),
        value: document.toJS() as { spec: Record<string, Record<string, unknown>> },
      }));
      const [firstBefore, , thirdBefore] = parseAllDocuments(text).map(String);
      assert.equal(first?.text, firstBefore);
      assert.equal(third?.text, thirdBefore);
      for (const [name, wanted] of Object.entries(changed)) {
        const got = second?.value.spec[name];
        if (wanted === null || typeof wanted !== 'object' || Array.isArray(wanted)) {
          assert.deepEqual(got ?? null, wanted);
          continue;
        }
        for (const [inner, leaf] of Object.entries(wanted)) {
          assert.deepEqual(got?.[inner] ?? null, leaf);
        }
      }
    }),
    { numRuns: 300 },
  );
});
