import { Environment } from '@marcbachmann/cel-js';
import { canonicalJson } from '../base/canonical-json.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import { isObject } from './structural-schema.ts';
import type { CelRule, FieldPath, StructuralSchema } from './structural-schema.ts';

export interface RuleViolation {
  path: FieldPath;
  message: string;
}

/**
 * Checks a value that already fits its schema's types. `old` is the value that it replaces; rules that
 * mention oldSelf hold only between two values and are skipped without one, as on an API server.
 */
export type RuleCheck = (value: unknown, old: unknown, path: FieldPath) => RuleViolation[];

/**
 * Compiles what a structural schema says beyond JSON Schema: x-kubernetes-validations (CEL) and the
 * uniqueness that list types set and map promise. Undefined when there is nothing to check.
 * Throws Internal when a rule does not compile: crds/ are our own.
 */
export const compileRules = (schema: StructuralSchema): RuleCheck | undefined => {
  const checks = [
    ...(schema['x-kubernetes-validations'] ?? []).map((rule) => compileCelRule(rule, schema)),
    compileListType(schema),
    compileFields(schema),
    compileItems(schema),
  ].filter((check) => check !== undefined);
  if (checks.length === 0) return undefined;
  return (value, old, path) => checks.flatMap((check) => check(value, old, path));
};

const compileFields = (schema: StructuralSchema): RuleCheck | undefined => {
  const fields = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const check = compileRules(field);
    return check ? [{ name, check }] : [];
  });
  if (fields.length === 0) return undefined;
  return (value, old, path) =>
    fields.flatMap(({ name, check }) => {
      const field = isObject(value) ? value[name] : undefined;
      if (field === undefined) return [];
      return check(field, isObject(old) ? old[name] : undefined, [...path, name]);
    });
};

/** Items have no old value: none of our rules looks into the past of a list. */
const compileItems = (schema: StructuralSchema): RuleCheck | undefined => {
  const check = schema.items && compileRules(schema.items);
  if (!check) return undefined;
  return (value, _old, path) =>
    asList(value).flatMap((item, index) => check(item, undefined, [...path, index]));
};

const compileListType = (schema: StructuralSchema): RuleCheck | undefined => {
  const listType = schema['x-kubernetes-list-type'];
  if (listType !== 'set' && listType !== 'map') return undefined;
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  const identity = (item: unknown) =>
    listType === 'map' && isObject(item) ? keys.map((key) => item[key]) : item;
  return (value, _old, path) => {
    const identities = asList(value).map((item) => canonicalJson(identity(item)));
    return identities.flatMap((text, index) => {
      const first = identities.indexOf(text);
      if (first === index) return [];
      const what =
        listType === 'map' ? `an item with the same ${keys.join(' and ')} as` : 'equal to';
      return [{ path: [...path, index], message: `is ${what} [${first}]; each may occur once` }];
    });
  };
};

const compileCelRule = (rule: CelRule, schema: StructuralSchema): RuleCheck => {
  const isTransition = /\boldSelf\b/.test(rule.rule);
  const environment = new Environment().registerVariable('self', 'dyn');
  const evaluate = compileExpression(
    isTransition ? environment.registerVariable('oldSelf', 'dyn') : environment,
    rule.rule,
  );
  return (value, old, path) => {
    if (isTransition && old === undefined) return [];
    const context = { self: toCel(value, schema), oldSelf: toCel(old, schema) };
    const failure = evaluationFailure(evaluate, context);
    if (failure === undefined) return [];
    return [{ path: [...path, ...fieldPathParts(rule)], message: rule.message + failure }];
  };
};

const compileExpression = (environment: Environment, rule: string) => {
  try {
    return environment.parse(rule);
  } catch (cause) {
    throw new EspalierError('Internal', `CEL rule does not compile: ${rule}`, {}, { cause });
  }
};

/** Undefined when the rule holds. A rule that cannot be evaluated is violated, as on an API server. */
const evaluationFailure = (
  evaluate: (context: Record<string, unknown>) => unknown,
  context: Record<string, unknown>,
): string | undefined => {
  try {
    return evaluate(context) === true ? undefined : '';
  } catch (error) {
    return ` (the rule could not be evaluated: ${errorMessage(error)})`;
  }
};

/** CEL is typed: an integer of the schema is an int, not a double. */
const toCel = (value: unknown, schema: StructuralSchema | undefined): unknown => {
  if (typeof value === 'number') return schema?.type === 'integer' ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      toCel(field, schema?.properties?.[name] ?? schema?.additionalProperties),
    ]),
  );
};

const fieldPathParts = (rule: CelRule): string[] =>
  rule.fieldPath === undefined ? [] : rule.fieldPath.split('.').filter((part) => part !== '');

const asList = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
