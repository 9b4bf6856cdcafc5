import { apiGroup, apiVersion } from './schemas.ts';
import type { KindSchema, Schemas } from './schemas.ts';
import { isObject } from './structural-schema.ts';
import { nearest } from './suggestion.ts';
import { describe } from './validation-problem.ts';
import type { FieldProblem } from './validation-problem.ts';

/** Whether a text that cannot be parsed was probably meant for us. */
export const mentionsEspalier = /espalier|ModelDeployment|ClusterNode/;

type Identity =
  | { value: Record<string, unknown>; schema: KindSchema }
  | { foreign: string }
  | { problem: FieldProblem };

/**
 * Which kind a document is of. A Git checkout holds other people's YAML too (kustomization.yaml, ConfigMaps,
 * values for charts), which is skipped with a note. But a slip in apiVersion or kind must not turn a
 * deployment into somebody else's document, which would delete it: whatever looks like ours has to be ours.
 */
export const identify = (document: unknown, schemas: Schemas): Identity => {
  if (!isObject(document)) {
    return problem([], 'a mapping with apiVersion, kind, metadata and spec', describe(document));
  }
  const kind = document['kind'];
  const version = document['apiVersion'];
  const schema = typeof kind === 'string' ? schemas.kind(kind) : undefined;
  if (version !== apiVersion) {
    const foreign = schema || resemblesOurs(version) ? undefined : foreignNote(document);
    if (foreign !== undefined) return { foreign };
    return problem(['apiVersion'], apiVersion, describe(version), `write ${apiVersion}`);
  }
  if (!schema) return unknownKind(kind);
  if (!userKinds.includes(schema.kind)) {
    return problem(
      ['kind'],
      userKindList,
      schema.kind,
      'remove it: only Espalier writes this kind',
    );
  }
  return { value: document, schema };
};

/** The kinds that people write; the third, ModelDeploymentRevision, is Espalier's own record. */
const userKinds: readonly string[] = ['ModelDeployment', 'ClusterNode'];
const userKindList = `one of ${userKinds.join(', ')}`;

const unknownKind = (kind: unknown): Identity => {
  const meant = typeof kind === 'string' ? nearest(kind, userKinds) : undefined;
  const hint = meant === undefined ? undefined : `did you mean ${meant}?`;
  return problem(['kind'], userKindList, describe(kind), hint);
};

const resemblesOurs = (version: unknown): boolean =>
  typeof version === 'string' &&
  (version.split('/')[0] === apiGroup || nearest(version, [apiVersion]) !== undefined);

/** Undefined for what should be an object of an API but lacks the fields that say of which. */
const foreignNote = (document: Record<string, unknown>): string | undefined => {
  const { apiVersion: version, kind } = document;
  if (typeof version === 'string' && typeof kind === 'string') {
    return `skipped: ${version} ${kind} is not an Espalier kind`;
  }
  const isObjectOfAnApi = ['apiVersion', 'kind', 'metadata', 'spec'].some(
    (field) => field in document,
  );
  return isObjectOfAnApi ? undefined : 'skipped: a document without apiVersion and kind';
};

const problem = (
  path: FieldProblem['path'],
  expected: string,
  got: string,
  hint?: string,
): Identity => ({
  problem: { path, at: 'value', expected, got, ...(hint === undefined ? {} : { hint }) },
});
