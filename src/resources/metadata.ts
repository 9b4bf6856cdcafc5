import { toJsonSchema } from './json-schema.ts';
import { isObject } from './structural-schema.ts';
import type { FieldPath, StructuralSchema } from './structural-schema.ts';

/** Namespace of objects whose YAML names none, as kubectl's. */
export const defaultNamespace = 'default';

/**
 * JSON Schema of the metadata that a file may set. API servers check these rules in code, so no CRD states
 * them; limits from apimachinery's validation (labels: 63, prefix 253, annotations: 256 KiB in all).
 */
export const metadataJsonSchema = (
  metadata: StructuralSchema | undefined,
  namespaced: boolean,
): Record<string, unknown> => ({
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: {
    name: toJsonSchema(metadata?.properties?.['name'] ?? { type: 'string' }),
    ...(namespaced ? { namespace: { type: 'string', maxLength: 63, pattern: dnsLabel } } : {}),
    labels: {
      type: 'object',
      maxProperties: 64,
      propertyNames: { maxLength: 317, pattern: qualifiedName('a-z') },
      additionalProperties: { type: 'string', maxLength: 63, pattern: labelValue },
    },
    annotations: {
      type: 'object',
      maxProperties: 256,
      propertyNames: { maxLength: 317, pattern: qualifiedName('A-Za-z') },
      additionalProperties: { type: 'string', maxLength: 262_144 },
    },
  },
});

const dnsLabel = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$';
const labelValue = '^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$';
/** A name, after a DNS subdomain and a slash or not. Labels want the subdomain in small letters. */
const qualifiedName = (letters: string): string => {
  const label = `[${letters}0-9]([-${letters}0-9]*[${letters}0-9])?`;
  const prefix = `(?=[^/]{1,253}/)${label}(\\.${label})*/`;
  return `^(${prefix})?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`;
};

/** Set by a store, never by a file. Exported YAML has them, so they are left out rather than refused. */
const storeOwnedMetadata = new Set([
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'finalizers',
  'generation',
  'managedFields',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
  'uid',
]);

/** The document without what only stores write (and without empty metadata fields), and what that left out. */
export const withoutStoreOwnedFields = (
  document: Record<string, unknown>,
): { value: Record<string, unknown>; dropped: FieldPath[] } => {
  const { status, ...value } = document;
  const dropped: FieldPath[] = status === undefined ? [] : [['status']];
  const metadata = value['metadata'];
  if (!isObject(metadata)) return { value, dropped };
  const kept = Object.entries(metadata).filter(([name, field]) => {
    if (storeOwnedMetadata.has(name)) dropped.push(['metadata', name]);
    return !storeOwnedMetadata.has(name) && field !== null;
  });
  return { value: { ...value, metadata: Object.fromEntries(kept) }, dropped };
};
