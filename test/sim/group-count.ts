import assert from 'node:assert/strict';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { holds } from './broken-promise.ts';
import type { Intents } from './intents.ts';

/** Replicas and surge. */
export const mostGroups = ({ replicas, strategy }: ModelDeployment['spec']): number =>
  replicas + (strategy.type === 'RollingUpdate' ? strategy.rollingUpdate.maxSurge : 0);

/**
 * Groups that hold a place and are not on their way out: no more than any generation asked for that the operator may
 * be acting on, from the one that it wrote about last to today's; and what is left of a larger number.
 */
export class GroupCount {
  readonly #intents: Intents;
  readonly #before = new Map<string, { held: number; observedGeneration: number }>();

  constructor(intents: Intents) {
    this.#intents = intents;
  }

  checkStored({ metadata, status, spec }: ModelDeployment): void {
    const { uid, name, generation } = metadata;
    const { observedGeneration, groups } = status;
    const before = this.#before.get(uid) ?? { held: 0, observedGeneration: 0 };
    const specs = [spec, ...this.#intents.between(metadata, before.observedGeneration, generation)];
    const asked = Math.max(...specs.map(mostGroups));
    const allowed = Math.max(asked, before.held);
    const held = groups.filter(
      ({ members, state }) => members.length > 0 && state !== 'Stopping' && state !== 'Draining',
    ).length;
    holds('no group beyond spec', () => {
      assert.ok(held <= allowed, `${name} holds ${held} groups, ${allowed} are allowed`);
    });
    this.#before.set(uid, { held, observedGeneration });
  }
}
