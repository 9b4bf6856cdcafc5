import type { GroupStatus, ModelDeployment } from '../resources/types.ts';

/** Where the router sends requests for one deployment. */
export interface Route {
  namespace: string;
  name: string;
  /** Values of "model" in a request that mean this deployment. */
  servedNames: string[];
  /** Base URLs of the groups that proved themselves; empty: answer 503 with the message below. */
  endpoints: string[];
  /** Base URLs of groups that finish what is under way and get nothing new. */
  draining: string[];
  unavailableMessage: string;
  /** For Retry-After. */
  retryAfterSeconds: number;
}

/** A group that starts needs seconds, not minutes; clients that ask again too soon are asked to wait again. */
const retryAfterSeconds = 5;

/** One route per deployment, in order of namespace and name. Pure. */
export const routesFrom = (deployments: readonly ModelDeployment[]): Route[] =>
  deployments
    .map((deployment): Route => {
      const { metadata, spec, status } = deployment;
      const { servedNames } = spec.model;
      return {
        namespace: metadata.namespace ?? 'default',
        name: metadata.name,
        servedNames: servedNames.length > 0 ? servedNames : [metadata.name],
        endpoints: metadata.deletionTimestamp ? [] : endpointsOf(deployment, 'Ready'),
        draining: endpointsOf(deployment, 'Draining'),
        unavailableMessage: unavailableMessage(metadata.name, status.conditions),
        retryAfterSeconds,
      };
    })
    .toSorted((left, right) => (routeOrder(left) < routeOrder(right) ? -1 : 1));

const routeOrder = ({ namespace, name }: Route): string => `${namespace}/${name}`;

const endpointsOf = ({ status }: ModelDeployment, wanted: GroupStatus['state']): string[] =>
  status.groups.flatMap(({ state, endpoint }) =>
    state === wanted && endpoint !== undefined ? [endpoint] : [],
  );

const unavailableMessage = (
  name: string,
  conditions: ModelDeployment['status']['conditions'],
): string => {
  const told =
    conditions.find(({ type }) => type === 'Stalled') ??
    conditions.find(({ type, status }) => type === 'Ready' && status !== 'True');
  const why = told ? `${told.reason}: ${told.message}` : 'it has not been looked at yet';
  return `deployment ${name} does not serve now: ${why}`;
};
