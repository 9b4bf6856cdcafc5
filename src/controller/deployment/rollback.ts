import type { ModelDeployment, ModelDeploymentStatus } from '../../resources/types.ts';
import type { Why } from './judge.ts';

export type FailedRevision = NonNullable<ModelDeploymentStatus['failedRevision']>;

export interface RollbackInput {
  deployment: Pick<ModelDeployment, 'spec' | 'status'>;
  /** What spec asks for. */
  updateRevision: string | undefined;
  knownRevisions: ReadonlySet<string>;
}

/**
 * The failure for which groups are kept at the revision before. It holds until spec asks for another revision, for a
 * restart, or for Hold: what failed once is not tried again by itself.
 */
export const standingFailure = (input: RollbackInput): FailedRevision | undefined => {
  const { spec, status } = input.deployment;
  const failed = status.failedRevision;
  const stands =
    failed !== undefined &&
    failed.name === input.updateRevision &&
    failed.restartTime === spec.restartTime &&
    goodRevision(input) !== undefined;
  return stands ? failed : undefined;
};

/** The failure that this rollout has come to, if strategy.onFailure says to go back and there is something to go back to. */
export const freshFailure = (
  input: RollbackInput,
  failure: Why | undefined,
): FailedRevision | undefined => {
  const { updateRevision, deployment } = input;
  if (failure === undefined || updateRevision === undefined) return undefined;
  // Going back is a rollout, too.
  if (deployment.spec.paused || goodRevision(input) === undefined) return undefined;
  const { restartTime } = deployment.spec;
  return {
    name: updateRevision,
    reason: failure.reason.slice(0, 64),
    message: failure.message.slice(0, 4096),
    ...(restartTime === undefined ? {} : { restartTime }),
  };
};

/** The last revision that was fully rolled out, when a rollback may go there. */
export const goodRevision = ({
  deployment,
  updateRevision,
  knownRevisions,
}: RollbackInput): string | undefined => {
  const { spec, status } = deployment;
  const { currentRevision } = status;
  if (spec.strategy.onFailure !== 'Rollback' || currentRevision === undefined) return undefined;
  return currentRevision !== updateRevision && knownRevisions.has(currentRevision)
    ? currentRevision
    : undefined;
};
