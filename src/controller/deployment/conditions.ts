import { removeCondition, setCondition } from '../../resources/conditions.ts';
import type { Reason } from '../../resources/reasons.ts';
import type {
  Condition,
  GroupMember,
  GroupStatus,
  ModelDeployment,
} from '../../resources/types.ts';
import type { SpecProblem } from '../ports.ts';
import { unenforcedNote } from './features.ts';
import type { Verdict, Why } from './judge.ts';
import type { FailedRevision } from './rollback.ts';

export interface ConditionsInput {
  deployment: ModelDeployment;
  groups: readonly GroupStatus[];
  verdict: Verdict;
  /** What groups are moved to. */
  effectiveRevision: string | undefined;
  /** The failure after which they went back to it. */
  failed: FailedRevision | undefined;
  /** Why the newest plan does not exist, when it was asked for and refused. */
  rejection: Why | undefined;
  explanation: string | undefined;
  problems: readonly SpecProblem[];
  now: Date;
}

interface State extends Why {
  status: Condition['status'];
}

/** All conditions of a deployment, anew from what is known now; times of those that did not change stay. */
export const conditionsOf = (input: ConditionsInput): Condition[] => {
  const { deployment, now } = input;
  const states: [type: string, state: State | undefined][] = [
    ['Ready', ready(input)],
    ['Available', available(input)],
    ['Progressing', progressing(input)],
    ['Planned', planned(input)],
    ['WeightsStaged', weightsStaged(input)],
    ['InterconnectReady', interconnectReady(input)],
    ['Reconciling', reconciling(input)],
    ['Stalled', abnormal(input.verdict.stalled)],
    ['Degraded', degraded(input)],
    ['RolledBack', rolledBack(input)],
  ];
  return states.reduce<Condition[]>(
    (conditions, [type, state]) =>
      state
        ? setCondition(
            conditions,
            {
              type,
              status: state.status,
              observedGeneration: deployment.metadata.generation,
              // The code of a rank's error serves as reason, too: see docs/conditions.md.
              reason: state.reason as Reason,
              message: state.message,
            },
            now,
          )
        : removeCondition(conditions, type),
    deployment.status.conditions,
  );
};

const holds = (reason: Reason, message: string): State => ({ status: 'True', reason, message });
const fails = (reason: string, message: string): State => ({ status: 'False', reason, message });
const unknown = (reason: Reason, message: string): State => ({
  status: 'Unknown',
  reason,
  message,
});

const abnormal = (why: Why | undefined): State | undefined =>
  why && { status: 'True', reason: why.reason, message: why.message };

const count = (groups: number): string => (groups === 1 ? '1 group' : `${groups} groups`);

const noGroups = 'the deployment asks for no groups';

const ready = ({ verdict }: ConditionsInput): State => {
  const { pending, wanted } = verdict;
  if (pending) return fails(pending.reason, pending.message);
  if (wanted === 0) return holds('ScaledToZero', noGroups);
  return holds('AllRanksAnswered', `every rank of ${count(wanted)} answered`);
};

const available = ({ deployment, verdict }: ConditionsInput): State => {
  const { wanted } = verdict;
  if (wanted === 0 && !deployment.metadata.deletionTimestamp) {
    return holds('ScaledToZero', noGroups);
  }
  const { maxUnavailable } = deployment.spec.strategy.rollingUpdate;
  const minimum = Math.max(1, wanted - maxUnavailable);
  const message = `${count(verdict.available.length)} available, at least ${minimum} must be`;
  return verdict.available.length >= minimum
    ? holds('MinimumAvailable', message)
    : fails('MinimumUnavailable', message);
};

const progressing = ({ verdict }: ConditionsInput): State => {
  const { pending, stalled, paused } = verdict;
  if (!pending) return holds('RolledOut', 'this generation is fully rolled out');
  if (stalled) return fails(stalled.reason, stalled.message);
  if (paused) return unknown('Paused', paused.message);
  return holds('RollingOut', pending.message);
};

const planned = ({
  deployment,
  verdict,
  groups,
  rejection,
  explanation,
}: ConditionsInput): State => {
  if (rejection) return fails(rejection.reason, rejection.message);
  if (verdict.wanted === 0) return holds('ScaledToZero', noGroups);
  const placed = groups.filter(({ members }) => members.length > 0);
  if (placed.length < verdict.wanted) {
    return unknown('Pending', `${placed.length} of ${count(verdict.wanted)} planned`);
  }
  const note = unenforcedNote(deployment.spec);
  const text = explanation ?? `${count(placed.length)} planned`;
  return holds('PlanFound', note === undefined ? text : `${text} Note: ${note}.`);
};

const stagedStates = new Set(['Rendezvous', 'Loading', 'Canary', 'Ready']);
const metStates = new Set(['Loading', 'Canary', 'Ready']);

const weightsStaged = (input: ConditionsInput): State => {
  const members = runningMembers(input);
  if (members.length === 0) return unknown('WeightsUnchecked', 'no rank was started');
  const missing = members.filter(({ state }) => !stagedStates.has(state));
  if (missing.length === 0) return holds('WeightsPresent', 'every rank has its weights');
  return fails('WeightsUnchecked', `not checked yet: ${describe(missing)}`);
};

const interconnectReady = (input: ConditionsInput): State => {
  const members = runningMembers(input);
  if (members.length === 0) return unknown('AwaitingRendezvous', 'no rank was started');
  if (input.groups.every((group) => group.members.length <= 1)) {
    return holds('InterconnectUp', 'groups of one rank need no interconnect');
  }
  const missing = members.filter(({ state }) => !metStates.has(state));
  if (missing.length === 0) return holds('InterconnectUp', 'the ranks of every group have met');
  return fails('AwaitingRendezvous', `not met yet: ${describe(missing)}`);
};

const runningMembers = ({ groups }: ConditionsInput): GroupMember[] =>
  groups
    .filter(({ state }) => state === 'Starting' || state === 'Ready')
    .flatMap(({ members }) => members);

const describe = (members: readonly GroupMember[]): string =>
  members.map(({ rank, nodeName, state }) => `rank ${rank} on ${nodeName} (${state})`).join(', ');

/** Never beside Stalled; and not while nothing but a pause is in the way, when nothing goes on. */
const reconciling = ({ verdict }: ConditionsInput): State | undefined => {
  const { pending, stalled, paused } = verdict;
  if (!pending || stalled || pending === paused) return undefined;
  return abnormal(pending);
};

const rolledBack = ({ failed, effectiveRevision = '' }: ConditionsInput): State | undefined =>
  failed &&
  abnormal({
    reason: failed.reason,
    message: `revision ${failed.name} failed, ${effectiveRevision} is kept: ${failed.message}`,
  });

const degraded = ({ groups, problems }: ConditionsInput): State | undefined => {
  if (problems.length > 0) {
    const lines = problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
    return abnormal({ reason: 'InvalidSpec', message: lines.join('; ') });
  }
  const reduced = groups.filter(({ degradedBy = [] }) => degradedBy.length > 0);
  if (reduced.length === 0) return undefined;
  const lines = reduced.map(
    ({ index, degradedBy = [] }) => `group ${index} gave up: ${degradedBy.join(', ')}`,
  );
  return abnormal({ reason: 'DegradedPlan', message: lines.join('; ') });
};
