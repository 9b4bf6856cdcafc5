import type { Logger } from '../../src/base/logger.ts';
import type { Random } from '../../src/base/random.ts';
import type { Controller } from '../../src/controller/controller.ts';
import type { NodeLink } from '../../src/controller/ports.ts';
import type { ModelProfile } from '../../src/planner/types.ts';
import { createApiClient } from '../../src/store/kubernetes/client.ts';
import { readGroupKey } from '../../src/store/kubernetes/group-key.ts';
import { becomeLeader } from '../../src/store/kubernetes/leader.ts';
import type { Leadership } from '../../src/store/kubernetes/leader.ts';
import { underTerm } from '../../src/store/kubernetes/term.ts';
import { controllerOver } from './controller-over.ts';
import type { Network } from './faulty-network.ts';
import type { ReplicaClock } from './replica-clock.ts';

/** One replica of the operator. */
export interface Replica {
  identity: string;
  clock: ReplicaClock;
  network: Network;
  term?: Leadership;
  controller?: Controller;
  /** It has looked at everything, and nodes get documents from it. */
  isLeading: boolean;
  isDead: boolean;
  /** It was fenced, or has stopped: no node may hear of it any more. */
  isSilenced: boolean;
}

export interface ReplicaWorld {
  random: Random;
  logger: Logger;
  model: ModelProfile;
  connect: () => NodeLink;
  onTerm: (term: Leadership) => void;
  onLeading: () => void;
  onFenced: () => void;
}

const namespace = 'espalier-system';
/** Of looks at a group that drains: most go on for some seconds. */
const shareBusy = 0.9;

/** What src/cli/kubernetes-operator.ts composes, with simulated nodes. Resolves when it leads, or is dead. */
export const operate = async (replica: Replica, world: ReplicaWorld): Promise<void> => {
  const { clock, identity } = replica;
  const { random, logger, model } = world;
  const { transport } = replica.network;
  const { signal } = new AbortController();
  const term = await becomeLeader(
    {
      client: createApiClient({ transport, clock, random }),
      namespace,
      identity,
      clock,
      random,
      logger,
    },
    signal,
  );
  replica.term = term;
  world.onTerm(term);
  const client = createApiClient({ transport: underTerm(transport, term), clock, random });
  const groupSecretKey = await readGroupKey(client, namespace, term.signal);
  replica.controller = controllerOver({
    client,
    term,
    groupSecretKey,
    identity,
    nodeLink: world.connect(),
    clock,
    random,
    logger,
    model,
    requestsUnderWay: () => (random() < shareBusy ? 1 : 0),
    onFenced: world.onFenced,
  });
  await replica.controller.start();
  replica.isLeading = true;
  world.onLeading();
};
