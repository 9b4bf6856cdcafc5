import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { EspalierError } from '../base/errors.ts';
import { nodeDocumentSchema } from './document-schema.ts';
import { nodeReportSchema } from './report-schema.ts';
import type { NodeDocument, NodeReport } from './types.ts';
import { documentVersion } from './version.ts';

/**
 * Reads a document from parsed JSON. Throws InvalidDocument when a field is unknown, missing or wrong,
 * when an id disagrees with the fields it is made of, or when `version` is not the hash of the content:
 * what a truncated or edited file looks like.
 */
export const parseNodeDocument = (value: unknown): NodeDocument => {
  if (!validators.document(value)) {
    throw new EspalierError('InvalidDocument', `node document: ${firstError(validators.document)}`);
  }
  const ids = new Set<string>();
  for (const rank of value.ranks) {
    const expectedId = `${rank.namespace}/${rank.deployment}/${rank.groupIndex}/${rank.incarnation}/${rank.rank}`;
    if (rank.id !== expectedId || ids.has(rank.id)) {
      throw new EspalierError(
        'InvalidDocument',
        `node document: rank id "${rank.id}" ${ids.has(rank.id) ? 'comes twice' : `should be "${expectedId}"`}`,
      );
    }
    ids.add(rank.id);
  }
  const version = documentVersion(value);
  if (value.version !== version) {
    throw new EspalierError(
      'InvalidDocument',
      `node document: version is "${value.version}", but its content hashes to "${version}"`,
    );
  }
  return value;
};

/** Reads a report from parsed JSON. Throws InvalidReport naming the field. */
export const parseNodeReport = (value: unknown): NodeReport => {
  if (validators.report(value)) return value;
  throw new EspalierError('InvalidReport', `node report: ${firstError(validators.report)}`);
};

const ajv = new Ajv({ strict: true, allowUnionTypes: true });
const validators = {
  document: ajv.compile<NodeDocument>(nodeDocumentSchema),
  report: ajv.compile<NodeReport>(nodeReportSchema),
};

const firstError = (validator: ValidateFunction): string => {
  const error: ErrorObject | undefined = validator.errors?.[0];
  if (!error) return 'not valid';
  const field = error.keyword === 'additionalProperties' ? error.params['additionalProperty'] : '';
  return `${error.instancePath || '/'} ${error.message ?? 'is not valid'}${field ? ` ("${field}")` : ''}`;
};
