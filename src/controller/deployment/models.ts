import type { Clock } from '../../base/clock.ts';
import type { ModelProfile } from '../../planner/types.ts';
import type { ReadModelProfile } from '../ports.ts';

/** A folder is looked at again after this time, so that a repaired model starts without an edit of the YAML. */
export const modelMaxAgeMs = 30_000;

/** Model profiles, read at most once per `modelMaxAgeMs` and deployment generation. Failures are kept as long. */
export interface Models {
  /** `scope` names the asker; a new scope, such as a new generation, reads anew. Rejects as readModelProfile does. */
  profile(uri: string, scope: string): Promise<ModelProfile>;
}

export const createModels = (readModelProfile: ReadModelProfile, clock: Clock): Models => {
  const entries = new Map<string, { readMs: number; result: Promise<ModelProfile> }>();

  const dropOld = (): void => {
    // In order of their age.
    for (const [key, { readMs }] of entries) {
      if (clock.monotonicMs() - readMs < modelMaxAgeMs) return;
      entries.delete(key);
    }
  };

  const profile = async (uri: string, scope: string): Promise<ModelProfile> => {
    dropOld();
    const key = `${scope} ${uri}`;
    const known = entries.get(key);
    if (known) return known.result;
    const result = readModelProfile(uri);
    entries.set(key, { readMs: clock.monotonicMs(), result });
    return result;
  };

  return { profile };
};
