import { pino } from 'pino';
import type { Random } from '../../src/base/random.ts';
import { seededRandom } from '../../src/base/random.ts';
import type { Catalogue } from '../../src/catalogue/facts.ts';
import { createController } from '../../src/controller/controller.ts';
import type { Controller, ControllerOptions } from '../../src/controller/controller.ts';
import type { StoredEvent } from '../../src/controller/ports.ts';
import type { ModelProfile } from '../../src/planner/types.ts';
import { plan } from '../../src/planner/plan.ts';
import type { ClusterNodeSpec, Condition, ModelDeployment } from '../../src/resources/types.ts';
import { builtInOnly, node as planNode, profile } from '../planner/builders.ts';
import { fakeClock } from '../support/fake-clock.ts';
import { MemoryState } from '../support/memory-store.ts';
import { simFleet } from '../support/sim-fleet.ts';
import type { SimFleet } from '../support/sim-fleet.ts';

export const nodeSpec = (overrides: Partial<ClusterNodeSpec> = {}): ClusterNodeSpec => ({
  ...planNode('any').spec,
  ...overrides,
});

/** A control plane over simulated nodes, in simulated time. */
export class Harness {
  readonly clock = fakeClock();
  readonly state = new MemoryState(() => this.clock.now());
  readonly random: Random;
  readonly fleet: SimFleet;
  /** What is read of a model folder, by URI; a Llama of 8 GiB where nothing is set. */
  readonly models = new Map<string, ModelProfile | Error>();
  /** What is known of hardware and engines: nothing of their speed, unless a test sets more. */
  catalogue: Catalogue = builtInOnly;
  /** Calls of onFenced. */
  fenced = 0;

  constructor(nodeNames: string[], seed: number) {
    this.random = seededRandom(seed);
    this.fleet = simFleet(nodeNames, this.clock, this.random);
    for (const name of nodeNames) this.state.applyNode(name, nodeSpec());
  }

  /** Starts a control plane; the one before, if any, is left as after kill -9. */
  async startControlPlane(
    options: Partial<
      Pick<ControllerOptions, 'metrics' | 'logger' | 'plan' | 'requestsUnderWay'>
    > = {},
  ): Promise<Controller> {
    const controller = createController({
      store: this.state.open(),
      nodeLink: this.fleet.connect(),
      readModelProfile: async (uri) => this.#readModel(uri),
      plan: (request) => plan({ ...request, catalogue: this.catalogue }),
      clock: this.clock,
      random: this.random,
      logger: pino({ level: 'silent' }),
      endpointUrl: (namespace, name) => `http://127.0.0.1:8080/${namespace}/${name}/v1`,
      onFenced: () => {
        this.fenced += 1;
      },
      ...options,
    });
    await controller.start();
    await this.clock.settle();
    return controller;
  }

  /** Lets nodes and control plane work for this long. */
  async run(seconds: number): Promise<void> {
    for (let step = 0; step < seconds * 2; step += 1) {
      this.fleet.step();
      await this.clock.advance(500);
    }
  }

  /** Runs until the probe holds; fails after `limitSeconds` of simulated time. */
  async runUntil(what: string, probe: () => boolean, limitSeconds = 600): Promise<void> {
    for (let second = 0; second < limitSeconds; second += 1) {
      if (probe()) return;
      await this.run(1);
    }
    const seen = this.state
      .deployments()
      .map(({ metadata, status }) => [metadata.name, status.conditions, status.groups])
      .map((each) => JSON.stringify(each));
    throw new Error(`not within ${limitSeconds} simulated seconds: ${what}\n${seen.join('\n')}`);
  }

  deployment(name: string): ModelDeployment {
    const found = this.state.deployment(name);
    if (!found) throw new Error(`no deployment ${name}`);
    return found;
  }

  condition(name: string, type: string): Condition | undefined {
    return this.deployment(name).status.conditions.find((each) => each.type === type);
  }

  /** Whether the deployment's newest generation is Ready. */
  isReady(name: string): boolean {
    const { status, metadata } = this.deployment(name);
    const isCurrent = status.observedGeneration === metadata.generation;
    return isCurrent && this.condition(name, 'Ready')?.status === 'True';
  }

  /** "True InsufficientMemory", for short comparisons; undefined when the condition is absent. */
  summary(name: string, type: string): string | undefined {
    const found = this.condition(name, type);
    return found && `${found.status} ${found.reason}`;
  }

  events(reason: string): StoredEvent[] {
    return this.state.events().filter((event) => event.reason === reason);
  }

  #readModel(uri: string): ModelProfile {
    const model = this.models.get(uri) ?? profile(8);
    if (model instanceof Error) throw model;
    return model;
  }
}

export const harness = (nodeNames: string[], seed = 1): Harness => new Harness(nodeNames, seed);
