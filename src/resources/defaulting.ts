import { isObject } from './structural-schema.ts';
import type { StructuralSchema } from './structural-schema.ts';

/**
 * A copy of `value` with defaults applied as an API server applies them to a custom resource: a field that
 * is absent from an object that exists gets its default, whose own fields are defaulted in turn; null in a
 * field that is not nullable counts as absent. Unknown fields and values of wrong types stay for validation.
 * Source: apiextensions-apiserver, pkg/apiserver/schema/defaulting (Default, PruneNonNullableNullsWithoutDefaults).
 */
export const applyDefaults = (value: unknown, schema: StructuralSchema): unknown => {
  if (Array.isArray(value)) {
    const { items } = schema;
    return items ? value.map((item) => applyDefaults(orDefault(item, items), items)) : value;
  }
  if (!isObject(value)) return value;
  return defaultObject(value, schema);
};

const defaultObject = (value: Record<string, unknown>, schema: StructuralSchema): unknown => {
  const fields = new Map<string, unknown>();
  for (const [name, field] of Object.entries(value)) {
    const fieldSchema = propertySchema(schema, name);
    if (!fieldSchema) fields.set(name, field);
    else if (!isAbsent(field, fieldSchema)) fields.set(name, applyDefaults(field, fieldSchema));
  }
  for (const [name, fieldSchema] of Object.entries(schema.properties ?? {})) {
    if (fieldSchema.default === undefined || fields.has(name)) continue;
    fields.set(name, applyDefaults(structuredClone(fieldSchema.default), fieldSchema));
  }
  return Object.fromEntries(fields);
};

const propertySchema = (schema: StructuralSchema, name: string): StructuralSchema | undefined =>
  schema.properties && Object.hasOwn(schema.properties, name)
    ? schema.properties[name]
    : schema.additionalProperties;

const isAbsent = (value: unknown, schema: StructuralSchema): boolean =>
  value === undefined || (value === null && schema.nullable !== true);

const orDefault = (item: unknown, schema: StructuralSchema): unknown =>
  isAbsent(item, schema) && schema.default !== undefined ? structuredClone(schema.default) : item;
