import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mergeDocuments, readDocuments } from '../../src/resources/documents.ts';
import type { DesiredObject } from '../../src/resources/documents.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';

const schemas = loadSchemas();
const read = (text: string, file = 'f.yaml') => readDocuments(text, file, schemas);
const header = 'apiVersion: espalier.dev/v1alpha1\nkind: ModelDeployment\n';
const deployment = (name: string, spec = '') =>
  `${header}metadata: {name: ${name}}\nspec:\n  model: {uri: "file:///m"}\n${spec}`;
const names = (objects: readonly DesiredObject[]) => objects.map(({ metadata }) => metadata.name);
const folder = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const goodFolder = folder('./good/');
for (const file of readdirSync(goodFolder)) {
  test(`good/${file} has no problems`, () => {
    const result = read(readFileSync(`${goodFolder}${file}`, 'utf8'), file);
    assert.deepEqual(result.problems, []);
    assert.equal(result.objects.length, 2);
    assert.equal(result.isIncomplete, false);
  });
}

test('the full example sets every field of spec', () => {
  const { objects } = read(readFileSync(`${goodFolder}full.yaml`, 'utf8'));
  for (const object of objects) {
    const wanted = Object.keys(
      schemas.kind(object.kind)?.root.properties?.['spec']?.properties ?? {},
    );
    assert.deepEqual(Object.keys(object.spec).toSorted(), wanted.toSorted());
  }
});

const brokenFolder = folder('../../examples/broken/');
for (const file of readdirSync(brokenFolder)) {
  test(`examples/broken/${file} is wrong where its comment says`, () => {
    const text = readFileSync(`${brokenFolder}${file}`, 'utf8');
    const stated = /^# Wrong: (the document|\S+)/.exec(text)?.[1];
    const { problems } = read(text, file);
    assert.ok(problems.length > 0);
    const paths = problems.map(({ path }) => (path === '' ? 'the document' : path));
    assert.ok(paths.includes(stated ?? ''), `${stated} is not among ${paths.join(', ')}`);
  });
}

test('a problem gives file, line, column, path, what was expected, what came and what to do', () => {
  const text = deployment('a', '  replcas: 1\n  runtime:\n    contextLength: "8"\n');
  assert.deepEqual(
    read(text, 'dir/a.yaml').problems.map(({ file, line, column, path, got, key }) => ({
      file,
      line,
      column,
      path,
      got,
      key,
    })),
    [
      {
        file: 'dir/a.yaml',
        line: 6,
        column: 3,
        path: 'spec.replcas',
        got: 'the unknown field "replcas"',
        key: { kind: 'ModelDeployment', namespace: 'default', name: 'a' },
      },
      {
        file: 'dir/a.yaml',
        line: 8,
        column: 20,
        path: 'spec.runtime.contextLength',
        got: '"8"',
        key: { kind: 'ModelDeployment', namespace: 'default', name: 'a' },
      },
    ],
  );
  const [unknown, wrongType] = read(text).problems;
  assert.match(unknown?.message ?? '', /did you mean "replicas"\?$/);
  assert.equal(
    wrongType?.message,
    'spec.runtime.contextLength: expected an integer from 1 to 16777216, got "8"; remove the quotes',
  );
});

test('a deployment has priority 0 and preempts nobody, unless it says otherwise within bounds', () => {
  const [plain] = read(deployment('a')).objects;
  assert.ok(plain?.kind === 'ModelDeployment');
  assert.deepEqual([plain.spec.priority, plain.spec.preemptionPolicy], [0, 'Never']);
  for (const priority of [-1_000_000_000, 1_000_000_000]) {
    assert.deepEqual(read(deployment('a', `  priority: ${priority}\n`)).problems, []);
  }
  const wrong = ['-1000000001', '1000000001', '1.5', '"1"', 'high'];
  const problems = [
    ...wrong.map((value) => `  priority: ${value}\n`),
    '  preemptionPolicy: Always\n',
  ].map((text) => read(deployment('a', text)).problems.map(({ path }) => path));
  assert.deepEqual(problems, [...wrong.map(() => ['spec.priority']), ['spec.preemptionPolicy']]);
});

test('lines count from the start of the file in every document, comments and directives included', () => {
  const text = `# first\n---\n# about b\n${deployment('b', '  replicas: x\n')}---\n%YAML 1.2\n---\n${deployment('c', '  replicas: y\n')}`;
  const lines = text.split('\n');
  for (const { line } of read(text).problems) assert.match(lines[line - 1] ?? '', /replicas: [xy]/);
  assert.equal(read(text).problems.length, 2);
});

test('an unclosed quote or bracket does not swallow the next document', () => {
  for (const bad of ['a: "x', "a: 'x", 'a: [1, 2', 'a: {b: c', 'a: |\n b\n c: [', '\ta: b: c:']) {
    const { objects, problems, isIncomplete } = read(
      `${deployment('before')}---\n${header}${bad}\n---\n${deployment('after')}`,
    );
    assert.deepEqual(names(objects), ['before', 'after'], bad);
    assert.ok(problems.length > 0, bad);
    assert.equal(isIncomplete, true, bad);
  }
});

test('other APIs of a Git checkout are skipped with a note', () => {
  const foreign = [
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n',
    'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n',
    'resources: [a.yaml]\n',
    '- hosts: all\n  tasks: []\n',
    'image: {{ .Values.image }}\n}\n',
  ];
  for (const text of foreign) {
    const { objects, problems, notes } = read(`${text}---\n${deployment('a')}`);
    assert.deepEqual([names(objects), problems, notes.length], [['a'], [], 1], text);
  }
});

test('a slip in apiVersion or kind never makes a deployment foreign', () => {
  const good = deployment('a');
  const slips = [
    good.replace('espalier.dev/v1alpha1', 'esplier.dev/v1alpha1'),
    good.replace('espalier.dev/v1alpha1', 'v1'),
    good.replace('espalier.dev/v1alpha1', 'espalier.dev/v2'),
    good.replace('ModelDeployment', 'Deployment'),
    good.replace('apiVersion', 'apiVersoin'),
    good.replace('kind', 'knd'),
    good.replace('kind: ModelDeployment', 'kind: [ModelDeployment]'),
    good.replace(header, ''),
    'apiVersion: esp',
    'apiVer',
  ];
  for (const text of slips) {
    const { problems, notes, isIncomplete } = read(text);
    assert.deepEqual([problems.length, notes.length, isIncomplete], [1, 0, true], text);
  }
});

test('exported YAML is read without what only stores set', () => {
  const text = `${header}metadata: {name: a, uid: x, generation: 3, finalizers: [f]}\nspec:\n  model: {uri: "file:///m"}\nstatus: {replicas: 1}\n`;
  const { objects, problems, notes } = read(text);
  assert.deepEqual(problems, []);
  assert.deepEqual(objects[0]?.metadata, { name: 'a', namespace: 'default' });
  assert.equal(notes.length, 4);
});

test('a revision is not for people to write', () => {
  const [problem] = read(
    'apiVersion: espalier.dev/v1alpha1\nkind: ModelDeploymentRevision\n',
  ).problems;
  assert.match(problem?.message ?? '', /only Espalier writes this kind/);
});

test('a name given twice is served once: the first, or the one whose file has it', () => {
  const within = read(`${deployment('a')}---\n${deployment('a', '  replicas: 2\n')}`);
  assert.equal(within.objects.length, 1);
  assert.match(within.problems[0]?.message ?? '', /a again, after f\.yaml:1/);

  const parts = ['1.yaml', '2.yaml'].map((file) => read(deployment('a'), file));
  assert.equal(mergeDocuments(parts).objects[0]?.file, '1.yaml');
  const preferring = mergeDocuments(parts, () => '2.yaml');
  assert.equal(preferring.objects[0]?.file, '2.yaml');
  assert.deepEqual(
    preferring.problems.map(({ file }) => file),
    ['1.yaml'],
  );
  const other = deployment('a').replace('name: a', 'name: a, namespace: other');
  assert.deepEqual(read(`${deployment('a')}---\n${other}`).problems, []);
});

test('anchors, aliases and merge keys may be used', () => {
  const text = `${header}metadata: {name: a}\nspec:\n  model: &m\n    uri: file:///m\n  runtime:\n    <<: {contextLength: 8}\n    version: &v "1"\n`;
  const { objects, problems } = read(text);
  assert.deepEqual(problems, []);
  assert.equal(objects[0]?.kind === 'ModelDeployment' && objects[0].spec.runtime.contextLength, 8);
});

test('hostile files are problems, not crashes', () => {
  const hostile = [
    `${header}spec: ${'['.repeat(100_000)}`,
    `${header}spec: ${'{a: '.repeat(20_000)}`,
    `${header}spec: *nowhere\n`,
    `${header}spec: !!binary aGk=\n`,
    `${header}spec: !<tag:yaml.org,2002:js/function> "x"\n`,
    `${header}? [complex]\n: key\n`,
    `${header}__proto__: {a: 1}\nmetadata: {name: a}\nspec: {model: {uri: "file:///m"}}\n`,
    `${header}metadata: {name: a}\nspec: {model: {uri: "file:///m"}, replicas: .inf}\n`,
    `${header}metadata: {name: a}\nspec: {model: {uri: "file:///m"}, replicas: 1e400}\n`,
    `${header}metadata: {name: constructor, labels: {toString: 1}}\nspec: {valueOf: 1}\n`,
    'x'.repeat(1 << 21),
  ];
  for (const text of hostile) {
    const { objects, problems } = read(text);
    assert.equal(objects.length, 0, text.slice(0, 200));
    assert.ok(problems.length > 0 && problems.length <= 50, text.slice(0, 200));
    for (const { message } of problems) assert.ok(message.length < 1000, message);
  }
});

test('an emptied file does not count as a wish to delete what was in it; comments do', () => {
  assert.equal(read('').isIncomplete, true);
  assert.equal(read(' \n\n').isIncomplete, true);
  assert.equal(read('# gone on purpose\n').isIncomplete, false);
});
