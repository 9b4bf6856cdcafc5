import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  assert as assertProperty,
  constantFrom,
  nat,
  oneof,
  property,
  stringMatching,
  tuple,
} from '../support/fast-check.ts';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { parseQuantityBytes } from '../../src/base/quantity.ts';
import { maxMessageLength } from '../../src/resources/conditions.ts';
import { toJsonSchema } from '../../src/resources/json-schema.ts';
import { revisionedFields } from '../../src/resources/revision.ts';
import { compileRules } from '../../src/resources/rules.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';
import type { StructuralSchema } from '../../src/resources/structural-schema.ts';

const directory = fileURLToPath(new URL('../../crds/', import.meta.url));
const schemas = loadSchemas();
const kinds = ['ClusterNode', 'ModelDeployment', 'ModelDeploymentRevision'];

const schemaOf = (kind: string): StructuralSchema => {
  const schema = schemas.kind(kind);
  assert.ok(schema);
  return schema.root;
};

const at = (kind: string, ...path: string[]): StructuralSchema =>
  path.reduce((schema, name) => {
    const next = name === '[]' ? schema.items : schema.properties?.[name];
    assert.ok(next, `${kind} has no ${path.join('.')}`);
    return next;
  }, schemaOf(kind));

const walk = (
  schema: StructuralSchema,
  path: string,
  visit: (schema: StructuralSchema, path: string) => void,
): void => {
  visit(schema, path);
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    walk(field, `${path}.${name}`, visit);
  }
  if (schema.items) walk(schema.items, `${path}[]`, visit);
  if (schema.additionalProperties) walk(schema.additionalProperties, `${path}{}`, visit);
};

for (const kind of kinds) {
  test(`${kind}: every field has a description that kubectl explain can show`, () => {
    walk(schemaOf(kind), kind, (schema, path) => {
      // The API server describes metadata itself, and refuses a CRD that does.
      assert.equal(schema.description === undefined, path === `${kind}.metadata`, path);
    });
  });

  test(`${kind}: every string, list and map is bounded, so that CEL costs are`, () => {
    walk(schemaOf(kind), kind, (schema, path) => {
      if (/^\w+\.(apiVersion|kind)$/.test(path)) return;
      if (schema.type === 'string') assert.ok(schema.maxLength ?? schema.enum, path);
      if (schema.type === 'array') assert.ok(schema.maxItems, path);
      if (schema.additionalProperties) assert.ok(schema.maxProperties, path);
      if (schema.type === 'integer') assert.ok(schema.minimum !== undefined, path);
      if (schema.type === 'integer' && path.includes('.spec.')) assert.ok(schema.maximum, path);
    });
  });

  test(`${kind}: every list says how server-side apply merges it, and map keys are required`, () => {
    walk(schemaOf(kind), kind, (schema, path) => {
      if (schema.type !== 'array') return;
      assert.ok(schema['x-kubernetes-list-type'], path);
      for (const key of schema['x-kubernetes-list-map-keys'] ?? []) {
        assert.ok(schema.items?.required?.includes(key), `${path}: ${key}`);
      }
    });
  });

  test(`${kind}: every default is valid as it stands, which is how an API server checks it`, () => {
    const ajv = new Ajv({ formats: { 'date-time': /./ } });
    walk(schemaOf(kind), kind, (schema, path) => {
      if (schema.default === undefined) return;
      assert.ok(ajv.validate(toJsonSchema(schema), schema.default), path);
      assert.deepEqual(compileRules(schema)?.(schema.default, undefined, []) ?? [], [], path);
    });
  });
}

test('each CRD is far below what client-side apply can carry', () => {
  for (const file of readdirSync(directory)) {
    assert.ok(readFileSync(join(directory, file)).length < 200_000, file);
  }
});

test('each CRD has the names, subresources and columns that clients rely on', () => {
  const wanted = {
    modeldeployments: { shortName: 'mdep', scope: 'Namespaced', subresources: ['status', 'scale'] },
    clusternodes: { shortName: 'cnode', scope: 'Cluster', subresources: ['status'] },
    modeldeploymentrevisions: { shortName: 'mdrev', scope: 'Namespaced', subresources: [] },
  };
  for (const [plural, { shortName, scope, subresources }] of Object.entries(wanted)) {
    const file = join(directory, `${plural}.espalier.dev.yaml`);
    const { metadata, spec } = parse(readFileSync(file, 'utf8'));
    assert.equal(metadata.name, `${plural}.espalier.dev`);
    assert.deepEqual(spec.names.shortNames, [shortName]);
    assert.deepEqual(spec.names.categories, ['inference']);
    assert.equal(spec.scope, scope);
    assert.deepEqual(Object.keys(spec.versions[0].subresources ?? {}), subresources);
    const columns = spec.versions[0].additionalPrinterColumns;
    assert.equal(columns.at(-1).name, 'Age');
    assert.ok(columns.filter((column: { priority?: number }) => !column.priority).length <= 6);
  }
});

test('a fresh status counts as not observed, so that kstatus waits', () => {
  for (const kind of ['ModelDeployment', 'ClusterNode']) {
    assert.deepEqual(at(kind, 'status').default, { observedGeneration: -1 });
  }
});

test('a revision holds exactly the revisioned fields, with the same schema', () => {
  const spec = schemas.defaultField('ModelDeployment', 'spec', { model: { uri: 'file:///m' } });
  const names = Object.keys(revisionedFields(spec as Parameters<typeof revisionedFields>[0]));
  const data = at('ModelDeploymentRevision', 'data');
  assert.deepEqual(Object.keys(data.properties ?? {}).toSorted(), names.toSorted());
  for (const name of names) {
    assert.deepEqual(data.properties?.[name], at('ModelDeployment', 'spec', name), name);
  }
});

test('a revision never changes but for its number', () => {
  const check = schemas.kind('ModelDeploymentRevision')?.checkRules;
  const revision = {
    revision: 1,
    hash: 'a',
    hashVersion: 1,
    data: { model: { uri: 'file:///m' } },
  };
  const violations = (changed: object) =>
    check?.({ ...revision, ...changed }, revision, []).map(({ message }) => message);
  assert.deepEqual(violations({ revision: 2 }), []);
  assert.deepEqual(violations({ hash: 'b' }), ['hash never changes']);
  assert.deepEqual(violations({ hashVersion: 2 }), ['hashVersion never changes']);
  assert.deepEqual(violations({ data: { model: { uri: 'file:///n' } } }), ['data never changes']);
});

test('conditions are cut to what the schema allows', () => {
  for (const kind of ['ModelDeployment', 'ClusterNode']) {
    const message = at(kind, 'status', 'conditions', '[]', 'message');
    assert.equal(message.maxLength, maxMessageLength);
  }
});

test('the schema and the parser agree on what a quantity is', () => {
  const patterns = [
    at('ModelDeployment', 'spec', 'placement', 'memoryHeadroom'),
    at('ClusterNode', 'spec', 'reservedMemory'),
    at('ClusterNode', 'spec', 'hardware', 'memory'),
  ].map((schema) => schema.pattern ?? '');
  assert.equal(new Set(patterns).size, 1);
  const pattern = new RegExp(patterns[0] ?? '', 'u');
  const quantity = oneof(
    tuple(nat(), constantFrom('', 'k', 'M', 'Gi', 'Ti', 'B', 'g')).map((parts) => parts.join('')),
    stringMatching(/^[0-9.]{0,4}[kMGTPi ]{0,3}$/),
  );
  assertProperty(
    property(quantity, (text) => pattern.test(text) === (parseQuantityBytes(text) !== undefined)),
  );
});
