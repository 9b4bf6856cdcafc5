import { canonicalJson, contentHash } from '../base/canonical-json.ts';
import type { ModelDeploymentSpec, RevisionedSpec } from './types.ts';

/** Changes when the way of hashing does; never compare hashes of two versions. */
export const hashVersion = 1;

/** The part of spec that a revision snapshots. The rest (replicas, paused, strategy, …) changes in place. */
export const revisionedFields = (spec: RevisionedSpec | ModelDeploymentSpec): RevisionedSpec => ({
  model: spec.model,
  runtime: spec.runtime,
  objective: spec.objective,
  parallelism: spec.parallelism,
  interconnect: spec.interconnect,
  placement: spec.placement,
  degradation: spec.degradation,
  dataPolicy: spec.dataPolicy,
});

/** Hex SHA-256 over the defaulted, canonically sorted revisioned fields. `spec` must be defaulted. */
export const revisionHash = (spec: RevisionedSpec | ModelDeploymentSpec): string =>
  contentHash(revisionedFields(spec));

/**
 * Whether both describe the same ranks. Compare with this rather than by hash: stores apply today's defaults
 * to old revisions when they read them, so a release that adds a defaulted field changes hashes but not this.
 */
export const sameRevision = (
  left: RevisionedSpec | ModelDeploymentSpec,
  right: RevisionedSpec | ModelDeploymentSpec,
): boolean => canonicalJson(revisionedFields(left)) === canonicalJson(revisionedFields(right));

/** "<deployment>-<8 characters made of the hash's first 8 bytes>"; a valid object name when the deployment's is. */
export const revisionName = (deployment: string, hash: string): string =>
  `${deployment}-${shortHash(hash)}`;

/** Kubernetes' alphabet for generated names: no vowels, so no words; no 0, 1, 3, which read as o, l, e. */
const safeAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

const shortHash = (hash: string): string =>
  Array.from(
    Buffer.from(hash, 'hex').subarray(0, 8),
    (byte) => safeAlphabet[byte % safeAlphabet.length],
  ).join('');
