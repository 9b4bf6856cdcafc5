import type {
  GroupStatus,
  ModelDeployment,
  ModelDeploymentSpec,
} from '../../src/resources/types.ts';

/** What a reader of a trace needs of a deployment. */
export const summaryOf = ({ metadata, spec, status }: ModelDeployment): string => {
  const { conditions, groups, observedGeneration } = status;
  const told = ['Ready', 'Stalled', 'RolledBack', 'Degraded'].flatMap((type) =>
    conditions
      .filter((condition) => condition.type === type)
      .map((condition) => `${type}=${condition.status} ${condition.reason}`),
  );
  return [
    `generation ${metadata.generation}/${observedGeneration}`,
    ...(metadata.deletionTimestamp === undefined ? [] : ['being deleted']),
    specOf(spec),
    told.join(', '),
    groups.map(groupText).join(' '),
  ].join(' | ');
};

export const specOf = ({
  replicas,
  parallelism,
  runtime,
  strategy,
  paused,
  priority,
  preemptionPolicy,
}: ModelDeploymentSpec) => {
  const { maxSurge, maxUnavailable, partition } = strategy.rollingUpdate;
  const rolling = `+${maxSurge}-${maxUnavailable}${partition > 0 ? ` from ${partition}` : ''}`;
  return [
    `${replicas} x ${parallelism.strategy}/${runtime.contextLength}`,
    strategy.type === 'Recreate' ? 'Recreate' : rolling,
    strategy.onFailure,
    `priority ${priority}${preemptionPolicy === 'Never' ? '' : ' preempts'}`,
    ...(paused ? ['paused'] : []),
  ].join(' ');
};

const groupText = ({ index, incarnation, revision, state, members }: GroupStatus): string =>
  `${index}#${incarnation}:${state}@${revision.slice(-4)}[${members.map(({ nodeName }) => nodeName).join('')}]`;
