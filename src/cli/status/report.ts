import type { StoredEvent } from '../../controller/ports.ts';
import { findCondition } from '../../resources/conditions.ts';
import type {
  ClusterNode,
  GroupStatus,
  ModelDeployment,
  ModelDeploymentRevision,
} from '../../resources/types.ts';
import { adviceFor } from './advice.ts';
import { obstaclesOf } from './obstacles.ts';
import type { Obstacle } from './obstacles.ts';
import { verdictOf } from './verdict.ts';
import type { Verdict } from './verdict.ts';

/** What `espalier status` says of one deployment; `-o json` prints it as it is. */
export interface StatusReport extends Verdict {
  namespace: string;
  name: string;
  paused: boolean;
  serving: {
    /** Whether requests are answered now, by whatever revision. */
    now: boolean;
    readyGroups: number;
    wantedGroups: number;
    updatedGroups: number;
    url?: string;
    decodeTokensPerSecond?: number;
  };
  revision: {
    current?: RevisionName;
    update?: RevisionName;
    /** strategy.onFailure went back from `update` to `current`. */
    rolledBack: boolean;
  };
  plan?: string;
  groups: GroupStatus[];
  /** Degraded and the like: it may serve all the same. */
  warnings: { type: string; reason: string; message: string; since: string }[];
  obstacles: Obstacle[];
  advice: string[];
  /** The last Warning events, newest last. */
  events: StoredEvent[];
}

interface RevisionName {
  name: string;
  /** Absent: the revision is not there (any more). */
  number?: number;
}

export interface StatusInput {
  deployment: ModelDeployment;
  nodes: readonly ClusterNode[];
  revisions: readonly ModelDeploymentRevision[];
  events: readonly StoredEvent[];
}

const shownEvents = 3;

export const reportStatus = ({
  deployment,
  nodes,
  revisions,
  events,
}: StatusInput): StatusReport => {
  const { metadata, spec, status } = deployment;
  const { name, namespace = 'default' } = metadata;
  const verdict = verdictOf(deployment);
  const obstacles = obstaclesOf(status.groups, nodes);
  const warnings = warningsOf(deployment);
  const alsoReasons = warnings.map(({ reason }) => reason);
  const isPaused = spec.paused;
  const isReady = verdict.state === 'Ready';
  return {
    namespace,
    name,
    ...verdict,
    paused: isPaused,
    serving: servingOf(deployment),
    revision: revisionOf(deployment, revisions),
    ...(status.plan ? { plan: planText(status.plan) } : {}),
    groups: status.groups,
    warnings,
    obstacles,
    advice: adviceFor({ name, namespace, verdict, obstacles, alsoReasons, isPaused }),
    events: isReady ? [] : warningEvents(events, name, verdict),
  };
};

const servingOf = ({ spec, status }: ModelDeployment): StatusReport['serving'] => {
  const speed = status.observed?.decodeTokensPerSecond;
  return {
    now: status.readyReplicas > 0,
    readyGroups: status.readyReplicas,
    wantedGroups: spec.replicas,
    updatedGroups: status.updatedReplicas,
    ...(status.endpoint ? { url: status.endpoint.url } : {}),
    // 0: nothing was asked yet.
    ...(Number(speed ?? 0) > 0 ? { decodeTokensPerSecond: Number(speed) } : {}),
  };
};

const revisionOf = (
  { status }: ModelDeployment,
  revisions: readonly ModelDeploymentRevision[],
): StatusReport['revision'] => {
  const named = (name: string | undefined): RevisionName | undefined => {
    if (name === undefined) return undefined;
    const number = revisions.find(({ metadata }) => metadata.name === name)?.revision;
    return number === undefined ? { name } : { name, number };
  };
  const current = named(status.currentRevision);
  const update = named(status.updateRevision);
  const rolledBack = status.failedRevision !== undefined;
  return { ...(current ? { current } : {}), ...(update ? { update } : {}), rolledBack };
};

const planText = (plan: NonNullable<ModelDeployment['status']['plan']>): string => {
  const { strategy, tensorSize, pipelineSize, interconnectMode, engine } = plan;
  const sizes =
    strategy === 'Hybrid'
      ? ` ${pipelineSize} × ${tensorSize}`
      : strategy === 'Single'
        ? ''
        : ` ${Math.max(tensorSize, pipelineSize)}`;
  const over = interconnectMode === 'None' ? '' : ` over ${interconnectMode}`;
  return `${strategy}${sizes}${over}, engine ${engine}`;
};

const warningsOf = ({ status }: ModelDeployment): StatusReport['warnings'] =>
  ['Degraded', 'RolledBack'].flatMap((type) => {
    const condition = findCondition(status.conditions, type);
    if (condition?.status !== 'True') return [];
    const { reason, message, lastTransitionTime: since } = condition;
    return [{ type, reason, message, since }];
  });

/** Without the standing remark of a deployment on what is not enforced, unless it is what stops it. */
const warningEvents = (
  events: readonly StoredEvent[],
  name: string,
  verdict: Verdict,
): StoredEvent[] =>
  events
    .filter(
      ({ type, regarding, reason }) =>
        type === 'Warning' &&
        regarding.kind === 'ModelDeployment' &&
        regarding.name === name &&
        (reason !== 'NotAvailableYet' || verdict.reason === reason),
    )
    .slice(-shownEvents);
