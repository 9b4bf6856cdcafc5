/** Where requests may go now. Implemented by whoever knows which groups answered their canary. */
export interface RouteTable {
  /** Called for every request, and while one waits: cheap, and always the latest. */
  routes(): readonly Route[];
  /** False until all deployments were read: before that, nobody can say that a model does not exist. */
  isComplete?(): boolean;
}

/** One deployment, whether it can serve or not. */
export interface Route {
  namespace: string;
  name: string;
  /** What clients put into `model`; none means the deployment's own name. */
  servedNames: readonly string[];
  /** Base URLs of rank 0 ("http://127.0.0.1:41234/v1") of the groups whose every rank answered, and of no others. */
  endpoints: readonly string[];
  /** Groups that finish what is under way and get nothing new. */
  draining?: readonly string[];
  /** Why no endpoint is there, for clients. */
  unavailableMessage?: string;
  /** How long a client should wait before it tries again. */
  retryAfterSeconds: number;
}

export const modelNames = (route: Route): readonly string[] =>
  route.servedNames.length > 0 ? route.servedNames : [route.name];

/** Path that serves this deployment alone; append it to the router's own URL. */
export const deploymentPath = (namespace: string, name: string): string =>
  `/${namespace}/${name}/v1`;
