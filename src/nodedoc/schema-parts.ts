/**
 * Pieces of the two schemas. Every string and list is bounded: the other side of the wire is not trusted
 * to be of our version, or to be well.
 */
type PropertySchema = Readonly<Record<string, unknown>>;

/** One schema per field of T, no more and no less, so that a type and its schema cannot drift apart. */
type PropertySchemas<T> = Readonly<Record<keyof Required<T>, PropertySchema>>;

/** An object with exactly these fields; those not named in `optional` are required. */
export const objectOf = <T>(
  properties: PropertySchemas<T>,
  optional: readonly (keyof T & string)[] = [],
): PropertySchema => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties).filter((name) => !optional.some((other) => other === name)),
  properties,
});

export const text = (maxLength = 1024): PropertySchema => ({ type: 'string', maxLength });
export const nonEmptyText = (maxLength = 1024): PropertySchema => ({
  type: 'string',
  minLength: 1,
  maxLength,
});
export const oneOf = (...values: readonly string[]): PropertySchema => ({
  type: 'string',
  enum: values,
});
export const count = (minimum = 0, maximum = Number.MAX_SAFE_INTEGER): PropertySchema => ({
  type: 'integer',
  minimum,
  maximum,
});
export const listOf = (items: PropertySchema, maxItems: number): PropertySchema => ({
  type: 'array',
  maxItems,
  items,
});

/** Longest deadline in a document: a day. Also keeps timers within what a 32-bit timer can hold. */
export const durationMs: PropertySchema = count(0, 86_400_000);

/** DNS subdomain, as names of nodes and deployments are. */
export const dnsName: PropertySchema = {
  type: 'string',
  maxLength: 253,
  pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
};

/** DNS label, as namespaces are: without dots, so that "<namespace>.<deployment>" reads one way only. */
export const dnsLabel: PropertySchema = {
  type: 'string',
  maxLength: 63,
  pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$',
};

/** `<namespace>/<deployment>/<group>/<incarnation>/<rank>`. It names a folder too, hence so narrow. */
export const rankId: PropertySchema = {
  type: 'string',
  maxLength: 400,
  pattern:
    '^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/(0|[1-9][0-9]{0,15})){3}$',
};

/** Of the catalogue of errors; becomes the reason of a condition, which API servers restrict. */
export const errorCode: PropertySchema = {
  type: 'string',
  minLength: 1,
  maxLength: 128,
  pattern: '^[A-Z][A-Za-z0-9]*$',
};
