import type { Clock } from '../../src/base/clock.ts';
import type { SimFleet } from '../support/sim-fleet.ts';
import type { Trace } from './trace.ts';

/** What the processes of ranks were, as only the simulation knows it. */
export class RankLog {
  readonly #fleet: SimFleet;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #trace: Trace;
  readonly #states = new Map<string, string>();
  readonly #servedAtMs = new Map<string, number>();

  constructor(fleet: SimFleet, clock: Pick<Clock, 'monotonicMs'>, trace: Trace) {
    this.#fleet = fleet;
    this.#clock = clock;
    this.#trace = trace;
  }

  /** When the process of this rank last was Ready; undefined: it never was. */
  servedAtMs(id: string): number | undefined {
    return this.#servedAtMs.get(id);
  }

  /** To be called whenever nodes have taken a step. */
  look(): void {
    const there = new Set<string>();
    for (const node of this.#fleet.nodes) {
      for (const [id, { state }] of node.ranks) {
        const key = `${node.name}: ${id}`;
        there.add(key);
        if (state === 'Ready') this.#servedAtMs.set(id, this.#clock.monotonicMs());
        if (this.#states.get(key) === state) continue;
        this.#states.set(key, state);
        this.#trace.note(`${key} is ${state}`);
      }
    }
    for (const key of this.#states.keys()) {
      if (there.has(key)) continue;
      this.#states.delete(key);
      this.#trace.note(`${key} is gone`);
    }
  }
}
