import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyDefaults } from '../../src/resources/defaulting.ts';
import type { StructuralSchema } from '../../src/resources/structural-schema.ts';

const schema: StructuralSchema = {
  type: 'object',
  properties: {
    size: { type: 'integer', default: 3 },
    name: { type: 'string' },
    nickname: { type: 'string', nullable: true, default: 'none' },
    always: {
      type: 'object',
      default: { first: 'given' },
      properties: {
        first: { type: 'string', default: 'a' },
        second: { type: 'string', default: 'b' },
      },
    },
    optional: { type: 'object', properties: { inner: { type: 'string', default: 'i' } } },
    list: {
      type: 'array',
      items: { type: 'object', properties: { weight: { type: 'integer', default: 1 } } },
    },
    map: {
      type: 'object',
      additionalProperties: {
        type: 'object',
        properties: { on: { type: 'boolean', default: true } },
      },
    },
  },
};

const always = { first: 'given', second: 'b' };
const base = { size: 3, nickname: 'none', always };

const cases: { title: string; value: unknown; wanted: unknown }[] = [
  {
    title: 'absent fields get their default, and a default is defaulted too',
    value: {},
    wanted: base,
  },
  { title: 'a given value stays', value: { size: 0 }, wanted: { ...base, size: 0 } },
  {
    title: 'a field without default stays absent, and so does what is in it',
    value: { name: 'n' },
    wanted: { ...base, name: 'n' },
  },
  {
    title: 'fields of an object are defaulted once the object is there',
    value: { optional: {} },
    wanted: { ...base, optional: { inner: 'i' } },
  },
  {
    title: 'a given object takes its own fields before the default object',
    value: { always: { second: 'mine' } },
    wanted: { ...base, always: { first: 'a', second: 'mine' } },
  },
  { title: 'null counts as absent: default', value: { size: null }, wanted: base },
  { title: 'null counts as absent: no default', value: { name: null }, wanted: base },
  {
    title: 'null stays where it may be',
    value: { nickname: null },
    wanted: { ...base, nickname: null },
  },
  {
    title: 'items of lists and values of maps are defaulted',
    value: { list: [{}, { weight: 5 }], map: { a: {}, b: { on: false } } },
    wanted: {
      ...base,
      list: [{ weight: 1 }, { weight: 5 }],
      map: { a: { on: true }, b: { on: false } },
    },
  },
  {
    title: 'unknown fields and wrong types are left for validation',
    value: { extra: 1, always: 'text', list: {} },
    wanted: { ...base, extra: 1, always: 'text', list: {} },
  },
  { title: 'what is no object stays', value: 'text', wanted: 'text' },
];

for (const { title, value, wanted } of cases) {
  test(title, () => {
    const before = structuredClone(value);
    assert.deepEqual(applyDefaults(value, schema), wanted);
    assert.deepEqual(value, before, 'the given value is not changed');
  });
}

test('defaults are copies: changing one object leaves the next alone', () => {
  const first = applyDefaults({}, schema) as { always: { first: string } };
  first.always.first = 'changed';
  assert.deepEqual(applyDefaults({}, schema), base);
});

test('a field called __proto__ is data, not a prototype', () => {
  const value = JSON.parse('{"__proto__": {"size": 9}}') as object;
  const defaulted = applyDefaults(value, schema) as object;
  assert.equal(Object.hasOwn(defaulted, '__proto__'), true);
  assert.equal((defaulted as { size: number }).size, 3);
});
