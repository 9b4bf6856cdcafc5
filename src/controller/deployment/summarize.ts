import type { Prediction } from '../../planner/prediction.ts';
import type { Plan } from '../../planner/types.ts';
import type { ModelDeploymentStatus, PlanStatus } from '../../resources/types.ts';
import type { SpecProblem } from '../ports.ts';
import { conditionsOf } from './conditions.ts';
import { isRolledOut, judge } from './judge.ts';
import type { JudgeInput, Verdict, Why } from './judge.ts';
import { progressOf } from './progress.ts';
import { freshFailure, goodRevision } from './rollback.ts';

export interface SummaryInput extends Omit<JudgeInput, 'progress'> {
  resolvedModel: ModelDeploymentStatus['resolvedModel'];
  problems: readonly SpecProblem[];
  /** Of rank 0 of the Ready groups, on average. */
  decodeTokensPerSecond: number | undefined;
  endpointUrl: string;
  knownRevisions: ReadonlySet<string>;
}

/** The status that follows from a reconcile. The one place that computes it; pure. */
export const summarize = (input: SummaryInput): ModelDeploymentStatus => {
  const { deployment, groups, blocked, updateRevision, resolvedModel } = input;
  const { status, metadata } = deployment;
  const progress = progressOf({ ...input, isRolledOut: isRolledOut(input) });
  const verdict = judge({ ...input, progress });
  const plan = planStatus(input);
  const observed = observedSpeed(input);
  const isWhole =
    verdict.isComplete &&
    groups.length > 0 &&
    groups.every(({ revision }) => revision === updateRevision);
  const currentRevision = isWhole ? updateRevision : status.currentRevision;
  const failed = input.failed ?? freshFailure(input, verdict.failure);
  const effectiveRevision = failed ? goodRevision(input) : updateRevision;
  const isHandled = blocked?.kind !== 'retry';
  return {
    observedGeneration: isHandled ? metadata.generation : status.observedGeneration,
    conditions: conditionsOf({
      ...input,
      effectiveRevision,
      failed,
      verdict,
      rejection: rejectionOf(input),
      explanation: plan?.explanation,
    }),
    ...replicaCounts(input, verdict),
    selector: `espalier.dev/deployment=${metadata.name}`,
    ...(currentRevision === undefined ? {} : { currentRevision }),
    ...(updateRevision === undefined ? {} : { updateRevision }),
    ...(effectiveRevision === undefined ? {} : { effectiveRevision }),
    ...(failed ? { failedRevision: failed } : {}),
    ...(progress ? { progress } : {}),
    ...(resolvedModel ? { resolvedModel } : {}),
    ...(plan ? { plan } : {}),
    ...(observed ? { observed } : {}),
    groups: [...groups],
    ...(metadata.deletionTimestamp ? {} : { endpoint: { url: input.endpointUrl } }),
  };
};

const replicaCounts = ({ groups }: SummaryInput, verdict: Verdict) => ({
  replicas: groups.length,
  readyReplicas: verdict.ready.length,
  updatedReplicas: verdict.updated.length,
  availableReplicas: verdict.available.length,
});

const rejectionOf = ({ deployment, placements, blocked }: SummaryInput): Why | undefined => {
  const refused = placements.findLast(
    ({ index, result }) => !result.ok && index < deployment.spec.replicas,
  )?.result;
  if (refused && !refused.ok) return { reason: refused.reason, message: refused.message };
  const isRolling =
    deployment.spec.strategy.type === 'RollingUpdate' && !deployment.metadata.deletionTimestamp;
  const isRefused = blocked?.kind === 'terminal' || (blocked?.kind === 'waiting' && isRolling);
  return isRefused ? blocked : undefined;
};

/** Of the first group that was planned now, else what it was: groups keep their plan. */
const planStatus = ({ deployment, groups, placements }: SummaryInput): PlanStatus | undefined => {
  const placed = placements.find(({ result }) => result.ok)?.result;
  if (placed?.ok) return shortened(placed.plan);
  return groups.some(({ members }) => members.length > 0) ? deployment.status.plan : undefined;
};

/** Within the bounds of the CRD. */
const shortened = (plan: Plan): PlanStatus => ({
  hash: plan.hash,
  strategy: plan.strategy,
  tensorSize: plan.tensorSize,
  pipelineSize: plan.pipelineSize,
  interconnectMode: plan.interconnectMode,
  engine: plan.engine,
  ...(plan.predicted ? { predicted: predictedStatus(plan.predicted) } : {}),
  explanation: plan.explanation.slice(0, 8192),
  rejected: plan.rejected.slice(0, 256).map(({ option, reason, message }) => ({
    option: option.slice(0, 4096),
    reason,
    message: message.slice(0, 4096),
  })),
});

const predictedStatus = (predicted: Prediction): NonNullable<PlanStatus['predicted']> => ({
  decodeTokensPerSecond: predicted.decodeTokensPerSecond.toFixed(1),
  prefillTokensPerSecond: predicted.prefillTokensPerSecond.toFixed(0),
  timeToFirstTokenMilliseconds: Math.round(predicted.timeToFirstTokenMilliseconds),
  powerWatts: Math.round(predicted.powerWatts),
  ...(predicted.correction === undefined ? {} : { correction: predicted.correction.toFixed(2) }),
});

/** A speed that changed by less than this share is not worth a write. */
const speedStep = 0.1;

const observedSpeed = ({
  deployment,
  decodeTokensPerSecond: speed,
}: SummaryInput): ModelDeploymentStatus['observed'] => {
  const { observed } = deployment.status;
  if (speed === undefined) return observed;
  const known = Number(observed?.decodeTokensPerSecond ?? 0);
  return Math.abs(speed - known) <= known * speedStep && known > 0
    ? observed
    : { decodeTokensPerSecond: speed.toFixed(1) };
};
