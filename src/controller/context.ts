import type { Clock } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { PlanRequest, PlanResult } from '../planner/types.ts';
import type { Models } from './deployment/models.ts';
import type { Returns } from './deployment/returns.ts';
import type { Turns } from './deployment/turns.ts';
import type { Fleet, NodeView } from './fleet/fleet.ts';
import type { ChangeCounters } from './metrics/changes.ts';
import type { NodeLink, ObjectKey, Store } from './ports.ts';
import type { Publisher } from './publisher.ts';

/** Everything that reconciles work with. What is remembered here may be forgotten: it only saves work or time. */
export interface Context {
  store: Store;
  nodeLink: NodeLink;
  plan: (input: PlanRequest) => PlanResult;
  clock: Clock;
  random: Random;
  endpointUrl: (namespace: string, name: string) => string;
  /** Through the router, of a group's endpoint; undefined where there is no router. */
  requestsUnderWay: ((endpoint: string) => number) | undefined;
  models: Models;
  turns: Turns;
  returns: Returns;
  publisher: Publisher;
  counters: ChangeCounters;
  fleet: () => Fleet;
  view: (nodeName: string) => NodeView | undefined;
  /** Per node: what of it planning last knew. */
  planningHashes: Map<string, string>;
  enqueue: (key: ObjectKey) => void;
}
