import { invalidRequest } from './api-error.ts';
import type { ApiError } from './api-error.ts';
import { modelNames } from './route-table.ts';
import type { Route } from './route-table.ts';

/** What the router reads of a request's body; all else passes through as it came. */
export interface RequestHead {
  model: string;
  stream: boolean;
}

export interface DeploymentName {
  namespace: string;
  name: string;
}

/** Reads `model` and `stream` from the body. */
export const readRequestHead = (body: Buffer | undefined): RequestHead | { error: ApiError } => {
  let value: unknown;
  try {
    value = JSON.parse((body ?? '').toString('utf8'));
  } catch {
    return { error: invalidRequest(400, 'invalid_json', 'the body is not valid JSON') };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { error: invalidRequest(400, 'invalid_json', 'the body must be a JSON object') };
  }
  const { model, stream } = value as Record<string, unknown>;
  if (typeof model !== 'string' || model === '') {
    return {
      error: invalidRequest(400, 'missing_model', 'model must be the name of a model', 'model'),
    };
  }
  return { model, stream: stream === true };
};

/** The deployment that a request names by path; without a path, all of them. */
export const routesUnder = (
  routes: readonly Route[],
  deployment: DeploymentName | undefined,
): readonly Route[] | { error: ApiError } => {
  if (!deployment) return routes;
  const { namespace, name } = deployment;
  const route = routes.find((each) => each.namespace === namespace && each.name === name);
  if (route) return [route];
  const message = `there is no deployment ${namespace}/${name}`;
  return { error: invalidRequest(404, 'model_not_found', message) };
};

/**
 * The route that serves `model`. Where several deployments serve one name, one that is ready is taken,
 * the first by namespace and name.
 */
export const chooseRoute = (
  routes: readonly Route[],
  model: string,
): Route | { error: ApiError } => {
  const serving = routes
    .filter((route) => modelNames(route).includes(model))
    .toSorted((a, b) => compare(keyOf(a), keyOf(b)));
  const route = serving.find(({ endpoints }) => endpoints.length > 0) ?? serving[0];
  if (route) return route;
  const message = `the model ${JSON.stringify(model.slice(0, 200))} does not exist here; GET models lists those that do`;
  return { error: invalidRequest(404, 'model_not_found', message, 'model') };
};

const keyOf = ({ namespace, name }: Route): string => `${namespace}/${name}`;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
