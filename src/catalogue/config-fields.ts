import { EspalierError } from '../base/errors.ts';
import { isRecord } from './model-files.ts';

/** Reads fields of a config.json (or of an object in it), checking each; every error names file and field. */
export interface ConfigFields {
  file: string;
  /** Absent and null both mean "not given". */
  given(key: string): unknown;
  keys(): readonly string[];
  /** From 1 to `max` (2^24 unless said). ModelConfigInvalid when it is not there and there is no fallback. */
  integer(key: string, options?: { fallback?: number; max?: number }): number;
  flag(key: string): boolean | undefined;
  text(key: string): string | undefined;
  /** Undefined when not given. */
  list(key: string): readonly unknown[] | undefined;
  /** From 0 to `max`; `fallback` (0) when not given. */
  count(key: string, options?: { fallback?: number; max?: number }): number;
  /** The fields of a nested object. */
  nested(key: string): ConfigFields | undefined;
  invalid(what: string): EspalierError;
}

export const configFields = (
  value: Record<string, unknown>,
  file: string,
  path = '',
): ConfigFields => {
  const given = (key: string): unknown => value[key] ?? undefined;
  const invalid = (what: string) =>
    new EspalierError('ModelConfigInvalid', `${file}: ${path}${what}`, { file });
  const wrong = (key: string, expected: string) => {
    const found = given(key);
    const came = found === undefined ? 'it is not there' : `got ${show(found)}`;
    return invalid(`${key}: expected ${expected}, ${came}`);
  };
  return {
    file,
    given,
    keys: () => Object.keys(value),
    invalid,
    integer: (key, { fallback, max = 2 ** 24 } = {}) => {
      const found = given(key);
      if (found === undefined && fallback !== undefined) return fallback;
      if (isCount(found, max)) return found;
      throw wrong(key, `an integer from 1 to ${max}`);
    },
    count: (key, { fallback = 0, max = 2 ** 24 } = {}) => {
      const found = given(key) ?? fallback;
      if (found === 0 || isCount(found, max)) return found;
      throw wrong(key, `an integer from 0 to ${max}`);
    },
    flag: (key) => {
      const found = given(key);
      if (found === undefined || typeof found === 'boolean') return found;
      throw wrong(key, 'true or false');
    },
    text: (key) => {
      const found = given(key);
      if (found === undefined || typeof found === 'string') return found;
      throw wrong(key, 'a string');
    },
    list: (key) => {
      const found = given(key);
      if (found === undefined || Array.isArray(found)) return found;
      throw wrong(key, 'a list');
    },
    nested: (key) => {
      const found = given(key);
      if (found === undefined) return undefined;
      if (isRecord(found)) return configFields(found, file, `${path}${key}.`);
      throw wrong(key, 'an object');
    },
  };
};

/** For messages: JSON, not too much of it. */
export const show = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 60);

const isCount = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
