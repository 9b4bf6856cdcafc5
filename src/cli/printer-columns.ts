import type { PrinterColumn } from '../resources/schemas.ts';
import { age } from './output.ts';

/**
 * The cell of a printer column, as an API server would print it: the subset of JSONPath that our CRDs use
 * (fields, [*], [0] and one-condition filters such as [?(@.type=="Ready")]). Of several values it prints the first.
 */
export const printerCell = (column: PrinterColumn, object: unknown, now: Date): string => {
  const [value] = select([object], column.jsonPath);
  if (value === undefined || value === null) return '';
  if (column.type === 'date') return typeof value === 'string' ? age(value, now) : '';
  return typeof value === 'string' ? value : JSON.stringify(value);
};

const select = (start: unknown[], jsonPath: string): unknown[] => {
  const steps = jsonPath.matchAll(
    /\.([A-Za-z_][\w-]*)|\[\?\(@\.(\w+)\s*==\s*['"]([^'"]*)['"]\)\]|\[(\*|\d+)\]/g,
  );
  let values = start;
  for (const [, field, filterField, filterValue, index] of steps) {
    if (field !== undefined) values = values.map((value) => property(value, field));
    else if (filterField !== undefined) {
      values = elements(values).filter((value) => property(value, filterField) === filterValue);
    } else if (index === '*') values = elements(values);
    else values = values.map((value) => (Array.isArray(value) ? value[Number(index)] : undefined));
  }
  return values;
};

const elements = (values: unknown[]): unknown[] =>
  values.flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : []));

const property = (value: unknown, field: string): unknown =>
  value !== null && typeof value === 'object'
    ? (value as Record<string, unknown>)[field]
    : undefined;
