import assert from 'node:assert/strict';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { holds } from './broken-promise.ts';

interface Seen {
  isRunning: boolean;
  incarnation: number;
}

/** Every start of a group has a number of its own: no rank of an earlier one, on a node that returns, is taken for its. */
export class GroupStarts {
  /** By uid and index. */
  readonly #seen = new Map<string, Seen>();

  checkStored({ metadata, status }: ModelDeployment): void {
    for (const { index, incarnation, state } of status.groups) {
      const key = `${metadata.uid}/${index}`;
      const before = this.#seen.get(key) ?? { isRunning: false, incarnation: 0 };
      const isRunning = state === 'Starting' || state === 'Ready';
      const isStart = isRunning && !before.isRunning;
      holds('no duplicate group', () => {
        const text = `group ${index} of ${metadata.name} has start ${incarnation} after ${before.incarnation}`;
        if (isStart) assert.ok(incarnation > before.incarnation, text);
        else assert.ok(incarnation >= before.incarnation || !isRunning, text);
      });
      this.#seen.set(key, {
        isRunning,
        incarnation: Math.max(incarnation, before.incarnation),
      });
    }
    // A group that went for good begins anew: only when nothing of it ran any more did it go.
    const present = new Set(status.groups.map(({ index }) => `${metadata.uid}/${index}`));
    for (const key of this.#seen.keys()) {
      if (key.startsWith(`${metadata.uid}/`) && !present.has(key)) this.#seen.delete(key);
    }
  }
}
