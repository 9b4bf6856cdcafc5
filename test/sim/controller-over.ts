import type { Logger } from 'pino';
import type { Clock } from '../../src/base/clock.ts';
import type { Random } from '../../src/base/random.ts';
import { createController } from '../../src/controller/controller.ts';
import type { Controller } from '../../src/controller/controller.ts';
import type { NodeLink } from '../../src/controller/ports.ts';
import { plan } from '../../src/planner/plan.ts';
import type { ModelProfile } from '../../src/planner/types.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';
import type { ApiClient } from '../../src/store/kubernetes/client.ts';
import { createKubernetesStore } from '../../src/store/kubernetes/store.ts';
import type { Term } from '../../src/store/kubernetes/term.ts';
import { builtInOnly, profile } from '../planner/builders.ts';

const schemas = loadSchemas();

/** What a replica that leads runs, for simulated nodes: every model is a Llama of 8 GiB unless it is given. */
export const controllerOver = (options: {
  client: ApiClient;
  term: Term;
  groupSecretKey: Buffer;
  identity: string;
  nodeLink: NodeLink;
  clock: Clock;
  random: Random;
  logger: Logger;
  onFenced: () => void;
  model?: ModelProfile;
  requestsUnderWay?: (endpoint: string) => number;
}): Controller => {
  const { identity, nodeLink, onFenced, requestsUnderWay, model = profile(8), ...parts } = options;
  const { clock, random, logger } = parts;
  return createController({
    store: createKubernetesStore({ ...parts, schemas, instance: identity }),
    nodeLink,
    readModelProfile: async () => model,
    plan: (request) => plan({ ...request, catalogue: builtInOnly }),
    clock,
    random,
    logger,
    endpointUrl: (namespace, name) => `http://127.0.0.1:8080/${namespace}/${name}/v1`,
    onFenced,
    ...(requestsUnderWay ? { requestsUnderWay } : {}),
  });
};
