import { pino } from 'pino';
import type { Random } from '../../src/base/random.ts';
import { seededRandom } from '../../src/base/random.ts';
import { createController } from '../../src/controller/controller.ts';
import type { Controller } from '../../src/controller/controller.ts';
import type { ReadModelProfile, StoredEvent } from '../../src/controller/ports.ts';
import type { ModelProfile } from '../../src/planner/types.ts';
import { plan } from '../../src/planner/plan.ts';
import type { ClusterNodeSpec, Condition, ModelDeployment } from '../../src/resources/types.ts';
import { node as planNode, profile } from '../planner/builders.ts';
import { fakeClock } from '../support/fake-clock.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { memoryState } from '../support/memory-store.ts';
import type { MemoryState } from '../support/memory-store.ts';
import { simFleet } from '../support/sim-fleet.ts';
import type { SimFleet } from '../support/sim-fleet.ts';

export const nodeSpec = (overrides: Partial<ClusterNodeSpec> = {}): ClusterNodeSpec => ({
  ...planNode('any').spec,
  ...overrides,
});

/** A control plane over simulated nodes, in simulated time. */
export interface Harness {
  clock: FakeClock;
  state: MemoryState;
  fleet: SimFleet;
  random: Random;
  /** Size of every model, unless `models` says otherwise. */
  models: Map<string, ModelProfile | Error>;
  fenced: () => number;
  /** Starts a control plane; the one before, if any, is left as after kill -9. */
  startControlPlane(): Promise<Controller>;
  /** Lets nodes and control plane work for this long. */
  run(seconds: number): Promise<void>;
  /** Runs until the probe holds; fails after `limitSeconds` of simulated time. */
  runUntil(what: string, probe: () => boolean, limitSeconds?: number): Promise<void>;
  deployment(name: string): ModelDeployment;
  condition(name: string, type: string): Condition | undefined;
  /** Whether the deployment's newest generation is Ready. */
  isReady(name: string): boolean;
  /** "True InsufficientMemory", for short comparisons; undefined when the condition is absent. */
  summary(name: string, type: string): string | undefined;
  events(reason: string): StoredEvent[];
}

export const harness = (nodeNames: string[], seed = 1): Harness => {
  const clock = fakeClock();
  const random = seededRandom(seed);
  const state = memoryState(clock.now);
  const fleet = simFleet(nodeNames, clock, random);
  const models: Harness['models'] = new Map();
  let fenced = 0;
  for (const name of nodeNames) state.applyNode(name, nodeSpec());

  const readModelProfile: ReadModelProfile = async (uri) => {
    const model = models.get(uri) ?? profile(8);
    if (model instanceof Error) throw model;
    return model;
  };
  const startControlPlane = async (): Promise<Controller> => {
    const controller = createController({
      store: state.open(),
      nodeLink: fleet.connect(),
      readModelProfile,
      plan,
      clock,
      random,
      logger: pino({ level: 'silent' }),
      endpointUrl: (namespace, name) => `http://127.0.0.1:8080/${namespace}/${name}/v1`,
      onFenced: () => {
        fenced += 1;
      },
    });
    await controller.start();
    await clock.settle();
    return controller;
  };
  const run = async (seconds: number): Promise<void> => {
    for (let step = 0; step < seconds * 2; step += 1) {
      fleet.step();
      await clock.advance(500);
    }
  };
  const runUntil: Harness['runUntil'] = async (what, probe, limitSeconds = 600) => {
    for (let second = 0; second < limitSeconds; second += 1) {
      if (probe()) return;
      await run(1);
    }
    const seen = state
      .deployments()
      .map(({ metadata, status }) =>
        JSON.stringify([metadata.name, status.conditions, status.groups]),
      );
    throw new Error(`not within ${limitSeconds} simulated seconds: ${what}\n${seen.join('\n')}`);
  };
  const deployment = (name: string): ModelDeployment => {
    const found = state.deployment(name);
    if (!found) throw new Error(`no deployment ${name}`);
    return found;
  };
  const condition: Harness['condition'] = (name, type) =>
    deployment(name).status.conditions.find((each) => each.type === type);
  return {
    clock,
    state,
    fleet,
    random,
    models,
    fenced: () => fenced,
    startControlPlane,
    run,
    runUntil,
    deployment,
    condition,
    isReady: (name) => {
      const { status, metadata } = deployment(name);
      return (
        condition(name, 'Ready')?.status === 'True' &&
        status.observedGeneration === metadata.generation
      );
    },
    summary: (name, type) => {
      const found = condition(name, type);
      return found && `${found.status} ${found.reason}`;
    },
    events: (reason) => state.events().filter((event) => event.reason === reason),
  };
};
