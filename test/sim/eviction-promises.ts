import assert from 'node:assert/strict';
import type { ModelDeployment, ModelDeploymentSpec } from '../../src/resources/types.ts';
import { holds } from './broken-promise.ts';
import type { World } from './world.ts';

/**
 * How old may be what a write was decided on: a watch is silent for up to a minute, a write is tried for 30 s and may be
 * on its way for 30 s more.
 */
const longestDelayMs = 120_000;

/** Who may stop a group to take its place: by what users asked for, and never by what the operator says. */
export class EvictionPromises {
  readonly #world: World;
  /** By uid and index, groups that are being stopped for another. */
  readonly #leaving = new Set<string>();
  /** Since it was set to 0. */
  count = 0;

  constructor(world: World) {
    this.#world = world;
  }

  checkStored({ metadata, status }: ModelDeployment): void {
    for (const { index, state, reason, message = '' } of status.groups) {
      const key = `${metadata.uid}/${index}`;
      const isLeaving = reason === 'Preempted' && (state === 'Draining' || state === 'Stopping');
      if (isLeaving && !this.#leaving.has(key)) this.#evicted(metadata.name, message);
      if (isLeaving) this.#leaving.add(key);
      else this.#leaving.delete(key);
    }
  }

  #evicted(victim: string, message: string): void {
    this.count += 1;
    const [, preemptor = ''] = /\bdefault\/(\w+)/.exec(message) ?? [];
    const victims = this.#lately(victim);
    const preemptors = this.#lately(preemptor);
    holds('no unjust eviction', () => {
      const lowest = Math.min(...victims.map(({ priority }) => priority));
      const may = preemptors.filter(({ preemptionPolicy: policy }) => policy !== 'Never');
      assert.ok(may.length > 0, `${victim} is stopped for ${preemptor}, which may preempt nobody`);
      const text = `${victim} of priority ${lowest} is stopped for ${preemptor}, which has no higher one`;
      assert.ok(
        may.some(({ priority }) => priority > lowest),
        text,
      );
    });
  }

  #lately(name: string): ModelDeploymentSpec[] {
    return this.#world.intents.since(name, this.#world.clock.monotonicMs() - longestDelayMs);
  }
}
