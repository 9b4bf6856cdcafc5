import type { ErrorObject } from 'ajv';
import { nearest } from './suggestion.ts';
import { formatPath, isObject } from './structural-schema.ts';
import type { FieldPath, StructuralSchema } from './structural-schema.ts';

/** Names the object that a document describes; the same shape as the store's ObjectKey. */
export interface DocumentKey {
  kind: 'ModelDeployment' | 'ClusterNode';
  namespace?: string;
  name: string;
}

export interface ValidationProblem {
  file: string;
  /** From 1. */
  line: number;
  /** From 1. */
  column: number;
  /** Field, for instance "spec.taints[0].key"; empty for the document as a whole. */
  path: string;
  expected: string;
  got: string;
  /** One sentence with all of the above but file and line, and what to do. */
  message: string;
  /** Of the object the document would be, when its kind and name could be read. */
  key?: DocumentKey;
}

/** What is wrong with one field, before it is known where the field stands. */
export interface FieldProblem {
  path: FieldPath;
  /** Whether the field's key is to be shown rather than its value. */
  at: 'key' | 'value';
  expected: string;
  got: string;
  hint?: string;
  /** A rule of the kind that the field breaks: the sentence to show instead of `expected`. */
  rule?: string;
}

export const problemMessage = (problem: FieldProblem): string => {
  const where = problem.path.length === 0 ? 'the document' : formatPath(problem.path);
  if (problem.rule !== undefined) return `${where}: ${problem.rule} (got ${problem.got})`;
  const hint = problem.hint === undefined ? '' : `; ${problem.hint}`;
  return `${where}: expected ${problem.expected}, got ${problem.got}${hint}`;
};

/** One problem per field: the wrong type rather than all that follows from it. */
export const problemsFromAjv = (errors: readonly ErrorObject[]): FieldProblem[] => {
  const byPlace = new Map<string, FieldProblem>();
  const typeFirst = errors.toSorted(
    (left, right) => Number(right.keyword === 'type') - Number(left.keyword === 'type'),
  );
  for (const error of typeFirst) {
    if (error.keyword === 'propertyNames') continue;
    const problem = fieldProblem(error);
    const place = `${problem.at} ${formatPath(problem.path)}`;
    if (!byPlace.has(place)) byPlace.set(place, problem);
  }
  return [...byPlace.values()];
};

const fieldProblem = (error: ErrorObject): FieldProblem => {
  const path = parsePointer(error.instancePath, error.propertyName);
  const schema = (error.parentSchema ?? {}) as Record<string, unknown>;
  switch (error.keyword) {
    case 'additionalProperties':
      return unknownField([...path, String(error.params['additionalProperty'])], schema);
    case 'required':
      return {
        path: [...path, String(error.params['missingProperty'])],
        at: 'value',
        expected: 'a value, because the field is required',
        got: 'nothing',
        hint: 'add it',
      };
    case 'type':
      return {
        path,
        at: 'value',
        ...expectation(schema),
        got: describe(error.data),
        ...typeHint(error),
      };
    default:
      if (error.propertyName !== undefined) {
        return {
          path,
          at: 'key',
          expected: 'a valid label or annotation key',
          got: describe(error.data),
        };
      }
      return {
        path,
        at: 'value',
        ...expectation(schema),
        got: describe(error.data),
        ...valueHint(error),
      };
  }
};

const unknownField = (path: FieldPath, schema: Record<string, unknown>): FieldProblem => {
  const known = Object.keys(isObject(schema['properties']) ? schema['properties'] : {});
  const name = String(path.at(-1));
  const meant = nearest(name, known);
  return {
    path,
    at: 'key',
    // The list is long; it helps only whoever gets no suggestion.
    expected: meant === undefined ? `one of the fields ${known.join(', ')}` : 'a known field',
    got: `the unknown field ${quoted(name)}`,
    hint: meant === undefined ? 'remove it' : `did you mean ${quoted(meant)}?`,
  };
};

const expectation = (schema: Record<string, unknown>): { expected: string } => {
  const rule = schema as StructuralSchema;
  if (rule.enum) return { expected: `one of ${rule.enum.join(', ')}` };
  const type = String(rule.type);
  const bounds = [
    range(rule.minimum, rule.maximum, '', ''),
    range(rule.minLength, rule.maxLength, 'of ', ' characters'),
    range(rule.minItems, rule.maxItems, 'of ', ' items'),
    range(undefined, rule.maxProperties, 'of ', ' fields'),
    rule.pattern === undefined ? '' : `that matches ${rule.pattern}`,
    rule.format === undefined ? '' : `in the format ${rule.format}`,
  ].filter((bound) => bound !== '');
  return { expected: [typeNames[type] ?? type, ...bounds].join(' ') };
};

const typeNames: Readonly<Record<string, string>> = {
  string: 'a string',
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  object: 'a mapping',
  array: 'a list',
};

const range = (
  low: number | undefined,
  high: number | undefined,
  before: string,
  after: string,
): string => {
  if (low === undefined && high === undefined) return '';
  if (low === undefined) return `${before}at most ${high}${after}`;
  if (high === undefined) return `${before}at least ${low}${after}`;
  return before === '' ? `from ${low} to ${high}` : `${before}${low} to ${high}${after}`;
};

const typeHint = ({ data, parentSchema }: ErrorObject): { hint?: string } => {
  const type: unknown = (parentSchema ?? {})['type'];
  if (type === 'string' && typeof data !== 'object') return { hint: 'put it in quotes' };
  if (typeof data !== 'string') return {};
  if (type === 'boolean' && /^(y|yes|on|n|no|off)$/i.test(data))
    return { hint: 'write true or false' };
  if (type === 'integer' && /^-?\d+$/.test(data)) return { hint: 'remove the quotes' };
  return {};
};

const valueHint = ({ data, keyword, parentSchema }: ErrorObject): { hint?: string } => {
  const { description } = (parentSchema ?? {}) as StructuralSchema;
  // Patterns are for machines; the description says what they mean.
  if (keyword === 'pattern' && description !== undefined) {
    return { hint: description.replace(/\.$/, '') };
  }
  if (keyword !== 'enum' || typeof data !== 'string') return {};
  const meant = nearest(data, ((parentSchema ?? {})['enum'] as unknown[]).map(String));
  return meant === undefined ? {} : { hint: `did you mean ${quoted(meant)}?` };
};

/** What came, for people, bounded in length. */
export const describe = (value: unknown): string => {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return quoted(value);
  return typeof value === 'number' ? String(value) : JSON.stringify(value);
};

const quoted = (text: string): string =>
  JSON.stringify(text.length <= 80 ? text : `${text.slice(0, 79)}…`);

/** ajv gives JSON pointers; a number in one may be an index or a key, and both look up alike. */
const parsePointer = (pointer: string, propertyName: string | undefined): FieldPath => {
  const parts = pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  return propertyName === undefined ? parts : [...parts, propertyName];
};
