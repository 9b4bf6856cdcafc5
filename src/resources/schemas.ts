import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { parse } from 'yaml';
import { applyDefaults } from './defaulting.ts';
import { toJsonSchema } from './json-schema.ts';
import { metadataJsonSchema } from './metadata.ts';
import { compileRules } from './rules.ts';
import type { RuleCheck } from './rules.ts';
import type { StructuralSchema } from './structural-schema.ts';

export const apiVersion = 'espalier.dev/v1alpha1';
export const apiGroup = 'espalier.dev';

/** Everything that one CRD says of its kind, compiled. */
export interface KindSchema {
  kind: string;
  namespaced: boolean;
  root: StructuralSchema;
  printerColumns: readonly PrinterColumn[];
  /** ajv over a whole document without status; empty when it fits. */
  validate(document: unknown): readonly ErrorObject[];
  /** ajv over a status alone; empty when it fits. */
  validateStatus(status: unknown): readonly ErrorObject[];
  /** CEL and list types over the whole, defaulted document. */
  checkRules: RuleCheck;
}

/** One of a CRD's additionalPrinterColumns. */
export interface PrinterColumn {
  name: string;
  type: string;
  description?: string;
  jsonPath: string;
  /** Above 0: shown only when wide output is asked for. */
  priority?: number;
}

export interface Schemas {
  kind(name: string): KindSchema | undefined;
  printerColumns(kind: string): readonly PrinterColumn[];
  /** Defaults of one top-level field of a kind's objects, for instance the `spec` of a ModelDeployment. */
  defaultField(kind: string, field: string, value: unknown): unknown;
}

interface CustomResourceDefinition {
  spec: {
    scope: string;
    names: { kind: string };
    versions: {
      schema: { openAPIV3Schema: StructuralSchema };
      additionalPrinterColumns?: PrinterColumn[];
    }[];
  };
}

/**
 * Reads crds/ of this package, which lies two folders above both src/resources and dist/resources.
 * Throws what node:fs throws when the package is incomplete.
 */
export const loadSchemas = (): Schemas => {
  const directory = new URL('../../crds/', import.meta.url);
  const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
  const kinds = new Map(
    files.map((name) => {
      const path = fileURLToPath(new URL(name, directory));
      const schema = compileDefinition(parse(readFileSync(path, 'utf8')));
      return [schema.kind, schema];
    }),
  );
  return {
    kind: (name) => kinds.get(name),
    printerColumns: (kind) => kinds.get(kind)?.printerColumns ?? [],
    defaultField: (kind, field, value) => {
      const schema = kinds.get(kind)?.root.properties?.[field];
      return schema ? applyDefaults(value, schema) : value;
    },
  };
};

const compileDefinition = (definition: CustomResourceDefinition): KindSchema => {
  const { names, scope, versions } = definition.spec;
  const version = versions[0];
  const root = version?.schema.openAPIV3Schema ?? {};
  const namespaced = scope === 'Namespaced';
  const validator = once(() => compileValidator(root, namespaced));
  const statusValidator = once(() =>
    newAjv().compile(toJsonSchema(root.properties?.['status'] ?? {})),
  );
  const rules = once(() => compileRules(root) ?? (() => []));
  return {
    kind: names.kind,
    namespaced,
    root,
    printerColumns: version?.additionalPrinterColumns ?? [],
    validate: (document) => (validator()(document) ? [] : (validator().errors ?? [])),
    validateStatus: (status) => (statusValidator()(status) ? [] : (statusValidator().errors ?? [])),
    checkRules: (value, old, path) => rules()(value, old, path),
  };
};

/** Without status, which documents do not have: readers drop it, and it is half of the schema. */
const compileValidator = (root: StructuralSchema, namespaced: boolean): ValidateFunction => {
  const { status: _status, ...properties } = root.properties ?? {};
  const json = toJsonSchema({ ...root, properties });
  const fields = json['properties'] as Record<string, unknown>;
  fields['metadata'] = metadataJsonSchema(root.properties?.['metadata'], namespaced);
  json['required'] = ['apiVersion', 'kind', 'metadata', ...(root.required ?? [])];
  return newAjv().compile(json);
};

const newAjv = (): Ajv =>
  new Ajv({ allErrors: true, verbose: true, formats: { 'date-time': rfc3339 } });

/** Compiling takes longer than most commands that never validate. */
const once = <T extends object>(make: () => T): (() => T) => {
  let made: T | undefined;
  return () => (made ??= make());
};

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
