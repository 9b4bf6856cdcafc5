import type { GroupStatus, ModelDeployment, ModelDeploymentStatus } from '../../resources/types.ts';
import { remainingBackoffMs } from '../groups/advance.ts';
import { availableInMs } from '../groups/rollout.ts';
import type { Blocked } from './judge.ts';
import { modelMaxAgeMs } from './models.ts';
import { deadlineInMs, unfinished } from './progress.ts';

/** A degraded group looks for its better plan this often. */
const degradedLookMs = 5000;
/** Its nodes may all be lost, so that no report will tell. */
const stoppingLookMs = 200;
/** The router tells nobody when a request has ended. */
const drainingLookMs = 250;
/** A pause that is over, but something is still in the way. */
const backoffLookMs = 100;
/** Releases and reports wake a waiting group; this is for what nobody tells. */
const waitingLookMs = 30_000;

/** When time alone may change something, and only then; undefined: never. */
export const nextLookMs = ({
  deployment,
  status,
  blocked,
  now,
}: {
  deployment: ModelDeployment;
  status: ModelDeploymentStatus;
  blocked: Blocked | undefined;
  now: Date;
}): number | undefined => {
  const groups = status.groups.flatMap((group) => groupLookMs(group, deployment, now));
  const { effectiveRevision } = status;
  const isUnfinished = unfinished({ ...status, deployment, effectiveRevision }).length > 0;
  const dueMs = isUnfinished ? deadlineInMs(deployment.spec, status, now) : Infinity;
  const deadlines = dueMs > 0 ? [dueMs] : [];
  const stuck = blocked && !deployment.metadata.deletionTimestamp ? [modelMaxAgeMs] : [];
  const isTurned = effectiveRevision !== deployment.status.effectiveRevision;
  const soonest = Math.min(...groups, ...deadlines, ...stuck, ...(isTurned ? [0] : []));
  // Times in status are whole seconds, rounded down: look a little later rather than twice.
  return Number.isFinite(soonest) ? Math.max(soonest, 0) + 20 : undefined;
};

const groupLookMs = (group: GroupStatus, deployment: ModelDeployment, now: Date): number[] => {
  switch (group.state) {
    case 'Waiting':
      return [waitingLookMs];
    case 'Failed':
      return [modelMaxAgeMs];
    case 'Backoff':
      return [Math.max(remainingBackoffMs(group, now), backoffLookMs)];
    case 'Ready': {
      const availableMs = availableInMs(group, deployment.spec, now);
      const degraded = group.degradedBy ? [degradedLookMs] : [];
      return availableMs > 0 ? [availableMs, ...degraded] : degraded;
    }
    case 'Draining':
      return [drainingLookMs];
    case 'Stopping':
      return [stoppingLookMs];
    default:
      return [];
  }
};
