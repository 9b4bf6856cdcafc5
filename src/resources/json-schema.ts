import type { StructuralSchema } from './structural-schema.ts';

const copiedKeywords = [
  'description',
  'enum',
  'required',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'minItems',
  'maxItems',
  'maxProperties',
] as const;

/**
 * The JSON Schema that ajv validates with. Fields that a structural schema does not name are refused, where
 * an API server would refuse them too (strict field validation). Defaults, list types and CEL are not part
 * of it: see defaulting.ts and rules.ts.
 */
export const toJsonSchema = (schema: StructuralSchema): Record<string, unknown> => {
  const json: Record<string, unknown> = {};
  if (schema['x-kubernetes-int-or-string']) json['type'] = ['integer', 'string'];
  else if (schema.type) json['type'] = schema.type;
  if (schema.nullable && schema.type) json['type'] = [schema.type, 'null'];
  if (schema.format === 'date-time') json['format'] = schema.format;
  for (const keyword of copiedKeywords) {
    if (schema[keyword] !== undefined) json[keyword] = schema[keyword];
  }
  if (schema.items) json['items'] = toJsonSchema(schema.items);
  if (schema.type === 'object') Object.assign(json, objectKeywords(schema));
  return json;
};

const objectKeywords = (schema: StructuralSchema): Record<string, unknown> => {
  if (schema.additionalProperties) {
    return { additionalProperties: toJsonSchema(schema.additionalProperties) };
  }
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true;
  return {
    properties: Object.fromEntries(
      Object.entries(schema.properties ?? {}).map(([name, field]) => [name, toJsonSchema(field)]),
    ),
    ...(isOpen ? {} : { additionalProperties: false }),
  };
};
