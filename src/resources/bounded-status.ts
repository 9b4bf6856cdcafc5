import { EspalierError } from '../base/errors.ts';
import type { Schemas } from './schemas.ts';
import { formatPath, isObject } from './structural-schema.ts';
import type { FieldPath, StructuralSchema } from './structural-schema.ts';

/**
 * The status as an API server takes it. What daemons and planners say at length is cut to the bounds of the CRD:
 * free text ends with an ellipsis, lists lose their end. What is wrong in another way (an enum, a pattern, a missing
 * field) is a bug of ours. Throws Internal, and names the fields.
 */
export const boundedStatus = <Status extends object>(
  schemas: Schemas,
  kind: string,
  status: Status,
): Status => {
  const schema = schemas.kind(kind);
  const statusSchema = schema?.root.properties?.['status'];
  if (!schema || !statusSchema) return status;
  const bounded = fit(status, statusSchema);
  const problems = schema.validateStatus(bounded);
  if (problems.length === 0) return bounded as Status;
  const fields = problems.map(
    ({ instancePath, message }) =>
      `${formatPath(['status', ...pathOf(instancePath)])} ${message ?? ''}`,
  );
  throw new EspalierError(
    'Internal',
    `the status of this ${kind} does not follow its schema: ${fields.join('; ')}`,
    { kind, fields },
  );
};

const fit = (value: unknown, schema: StructuralSchema): unknown => {
  if (typeof value === 'string') return boundedText(value, schema);
  if (Array.isArray(value)) {
    const { items, maxItems } = schema;
    const kept = maxItems === undefined ? value : value.slice(0, maxItems);
    return items ? kept.map((item) => fit(item, items)) : kept;
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .map(([name, field]) => {
        const fieldSchema = schema.properties?.[name] ?? schema.additionalProperties;
        return [name, fieldSchema ? fit(field, fieldSchema) : field];
      }),
  );
};

/** In UTF-16 units, of which there are never fewer than the characters that an API server counts. */
const boundedText = (text: string, { maxLength, pattern, format }: StructuralSchema): string => {
  const isFree = pattern === undefined && format === undefined;
  if (maxLength === undefined || text.length <= maxLength || !isFree) return text;
  return `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
};

const pathOf = (pointer: string): FieldPath =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
