import type { LabelValues, Metrics, Sample } from '../../base/metrics.ts';
import type { RankState } from '../../nodedoc/types.ts';
import { isConditionTrue } from '../../resources/conditions.ts';
import type { GroupStatus, ModelDeployment } from '../../resources/types.ts';
import type { Fleet, Presence } from '../fleet/fleet.ts';
import type { Store } from '../ports.ts';

const groupStates: Record<GroupStatus['state'], 0> = {
  Waiting: 0,
  Starting: 0,
  Ready: 0,
  Draining: 0,
  Backoff: 0,
  Stopping: 0,
  Failed: 0,
};
const presences: Record<Presence, 0> = { Present: 0, Unheard: 0, Lost: 0 };
const rankStates: Record<RankState, 0> = {
  Pending: 0,
  Staging: 0,
  Rendezvous: 0,
  Loading: 0,
  Canary: 0,
  Ready: 0,
  Stopping: 0,
  Stopped: 0,
  Failed: 0,
};
const conditionTypes = ['Ready', 'Available', 'Reconciling', 'Stalled', 'Degraded', 'RolledBack'];

/** What there is, read at each scrape from the store and the nodes' last reports. */
export const exposeState = (
  metrics: Metrics,
  { store, fleet }: { store: Pick<Store, 'deployments' | 'problems'>; fleet: () => Fleet },
): void => {
  metrics.gauge(
    { name: 'espalier_groups', help: 'Groups by what they do.', labels: ['state'] },
    () =>
      tally(
        'state',
        groupStates,
        store.deployments().flatMap(({ status }) => status.groups.map(({ state }) => state)),
      ),
  );
  metrics.gauge(
    {
      name: 'espalier_nodes',
      help: 'ClusterNodes by whether their daemons report: Present, Lost, or Unheard since the start.',
      labels: ['presence'],
    },
    () =>
      tally(
        'presence',
        presences,
        [...fleet().values()].map(({ presence }) => presence),
      ),
  );
  metrics.gauge(
    {
      name: 'espalier_ranks',
      help: 'Ranks by state, as the nodes that are Present report them.',
      labels: ['state'],
    },
    () =>
      tally(
        'state',
        rankStates,
        [...fleet().values()].flatMap(({ presence, report }) =>
          presence === 'Present' && report ? report.ranks.map(({ state }) => state) : [],
        ),
      ),
  );
  metrics.gauge(
    {
      name: 'espalier_spec_problems',
      help: 'Documents of the users that are not valid and therefore not served.',
    },
    () => [{ labels: {}, value: store.problems().length }],
  );
  exposeDeployments(metrics, store);
};

/** One series per deployment: there are as many as the users' YAML names, and alerts must say which one. */
const exposeDeployments = (metrics: Metrics, store: Pick<Store, 'deployments'>): void => {
  const labels = ['namespace', 'name'] as const;
  const each =
    <Label extends string>(
      samplesOf: (deployment: ModelDeployment) => [LabelValues<Label>, number][],
    ) =>
    (): Sample<Label | (typeof labels)[number]>[] =>
      store.deployments().flatMap((deployment) => {
        const { namespace = 'default', name } = deployment.metadata;
        return samplesOf(deployment).map(([own, value]) => ({
          labels: { ...own, namespace, name },
          value,
        }));
      });
  metrics.gauge(
    {
      name: 'espalier_deployment_condition',
      help: 'Whether a condition of a ModelDeployment is True.',
      labels: [...labels, 'condition'],
    },
    each<'condition'>(({ status }) =>
      conditionTypes.map((condition) => [
        { condition },
        isConditionTrue(status.conditions, condition) ? 1 : 0,
      ]),
    ),
  );
  metrics.gauge(
    {
      name: 'espalier_deployment_replicas',
      help: 'Groups of a ModelDeployment: Desired by its spec, Current, Updated, Ready, Available.',
      labels: [...labels, 'count'],
    },
    each<'count'>(({ spec, status }) => [
      [{ count: 'Desired' }, spec.replicas],
      [{ count: 'Current' }, status.replicas ?? 0],
      [{ count: 'Updated' }, status.updatedReplicas ?? 0],
      [{ count: 'Ready' }, status.readyReplicas ?? 0],
      [{ count: 'Available' }, status.availableReplicas ?? 0],
    ]),
  );
  metrics.gauge(
    {
      name: 'espalier_deployment_decode_tokens_per_second',
      help: 'Measured decode speed of one request, averaged over the groups that are Ready.',
      labels,
    },
    each<never>(({ status }) => {
      const speed = Number(status.observed?.decodeTokensPerSecond);
      return Number.isFinite(speed) ? [[{}, speed]] : [];
    }),
  );
};

/** A sample for every value there can be, zeros included. */
const tally = <Label extends string, Value extends string>(
  label: Label,
  zeros: Record<Value, 0>,
  values: readonly Value[],
): Sample<Label>[] => {
  const counts = new Map(Object.entries<number>(zeros));
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].map(([name, value]) => ({
    labels: { [label]: name } as LabelValues<Label>,
    value,
  }));
};
