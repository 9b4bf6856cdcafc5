import type { Random } from '../../../src/base/random.ts';
import type { StructuralSchema } from '../../../src/resources/structural-schema.ts';

const wrongValues: readonly unknown[] = [
  null,
  '',
  'text',
  -1,
  3.5,
  1e12,
  true,
  [],
  {},
  [1, 'a'],
  { a: 1 },
];

/** Strings of the forms that our fields have; most fit few fields, which is why a pattern picks. */
const strings = [
  'a',
  'mini-1',
  'mini-1.rack-b',
  '8Gi',
  '1.5Gi',
  '512M',
  '0',
  'hf://a/b',
  'file:///models/x',
  's3://bucket/key',
  'Mac16,11',
  'example.com/key',
  'v1.2.3',
  '--flag=1',
  'rack',
  '3f2a91c',
  '2026-11-23T10:00:00Z',
];

/**
 * A value for the schema: fields left out, at their bounds and in between. With the probability `wrongness` at
 * each place it is of another type, out of bounds, or has a field that is unknown.
 */
export const generateSpec = (
  schema: StructuralSchema,
  random: Random,
  wrongness: number,
): unknown => {
  if (random() < wrongness) return pick(wrongValues, random);
  if (schema.enum) return pick(schema.enum, random);
  switch (schema.type) {
    case 'object':
      return generateObject(schema, random, wrongness);
    case 'array':
      return Array.from({ length: below(schema.maxItems, 3, random, wrongness) }, () =>
        generateSpec(schema.items ?? {}, random, wrongness),
      );
    case 'boolean':
      return random() < 0.5;
    case 'integer':
    case 'number':
      return generateNumber(schema, random, wrongness);
    default:
      return generateString(schema, random, wrongness);
  }
};

const pick = <T>(values: readonly T[], random: Random): T =>
  values[Math.floor(random() * values.length)] as T;

const below = (most = 3, usual: number, random: Random, wrongness: number): number =>
  random() < wrongness ? most + 1 : Math.floor(random() * (Math.min(most, usual) + 1));

const generateObject = (
  schema: StructuralSchema,
  random: Random,
  wrongness: number,
): Record<string, unknown> => {
  const value: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const isRequired = schema.required?.includes(name) === true;
    if (random() < (isRequired ? 1 - wrongness : 0.4)) {
      value[name] = generateSpec(field, random, wrongness);
    }
  }
  if (schema.additionalProperties) {
    value['rack'] = generateSpec(schema.additionalProperties, random, wrongness);
  } else if (random() < wrongness / 4) value['unknownField'] = 1;
  return value;
};

const generateNumber = (schema: StructuralSchema, random: Random, wrongness: number): number => {
  const { minimum = 0, maximum = 1000 } = schema;
  if (random() < wrongness) return pick([minimum - 1, maximum + 1], random);
  const span = maximum - minimum;
  return pick([minimum, maximum, minimum + Math.floor(random() * (Math.min(span, 9) + 1))], random);
};

const generateString = (schema: StructuralSchema, random: Random, wrongness: number): string => {
  const { maxLength = 20, pattern } = schema;
  if (random() < wrongness) return 'x'.repeat(maxLength + 1);
  if (random() < wrongness) return pick(strings, random);
  const fitting = strings.filter(
    (text) => text.length <= maxLength && (pattern === undefined || new RegExp(pattern).test(text)),
  );
  return pick(fitting.length > 0 ? fitting : strings, random);
};
