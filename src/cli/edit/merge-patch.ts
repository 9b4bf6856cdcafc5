import { canonicalJson } from '../../base/canonical-json.ts';

type Fields = Record<string, unknown>;

/**
 * The JSON merge patch (RFC 7386) that turns `before` into `after`; undefined when they are equal. Lists are
 * replaced whole, fields that go are null.
 */
export const mergePatch = (before: unknown, after: unknown): unknown => {
  if (canonicalJson(before) === canonicalJson(after)) return undefined;
  if (!isFields(before) || !isFields(after)) return after;
  return Object.fromEntries(
    namesIn(before, after).flatMap((name) => {
      if (after[name] === undefined) return [[name, null]];
      const patch = mergePatch(before[name], after[name]);
      return patch === undefined ? [] : [[name, patch]];
    }),
  );
};

/** One field that differs. `path` is dotted, without "spec."; undefined: it is not there. */
export interface FieldChange {
  path: string;
  before: unknown;
  after: unknown;
}

/** What differs, field by field, in the order of the fields. */
export const fieldChanges = (before: unknown, after: unknown, path = ''): FieldChange[] => {
  if (canonicalJson(before) === canonicalJson(after)) return [];
  if (!isFields(before) || !isFields(after)) return [{ path, before, after }];
  return namesIn(before, after).flatMap((name) =>
    fieldChanges(before[name], after[name], path === '' ? name : `${path}.${name}`),
  );
};

/** "runtime.contextLength: 512 → 1024"; what is not there reads "unset". */
export const changeText = ({ path, before, after }: FieldChange): string =>
  `${path}: ${valueText(before)} → ${valueText(after)}`;

const valueText = (value: unknown): string => {
  if (value === undefined || value === null) return 'unset';
  return typeof value === 'string' && value !== '' ? value : JSON.stringify(value);
};

const namesIn = (before: Fields, after: Fields): string[] => [
  ...new Set([...Object.keys(before), ...Object.keys(after)]),
];

const isFields = (value: unknown): value is Fields =>
  value !== null && typeof value === 'object' && !Array.isArray(value);
