import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EspalierError } from '../../src/base/errors.ts';
import type { Engine, EngineStatus } from '../../src/engines/engine.ts';

const script = fileURLToPath(new URL('./test-rank.ts', import.meta.url));

/**
 * An engine whose ranks are real processes and compute nothing. `engine.args` of an assignment go to
 * test-rank.ts, except "stage-hangs" and "stage-fails".
 */
export const testEngine = (name = 'Test'): Engine => ({
  name,
  version: '1',
  unavailable: async () => undefined,
  stage: async (assignment, signal) => {
    if (assignment.engine.args.includes('stage-hangs')) {
      await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    }
    if (assignment.engine.args.includes('stage-fails')) {
      throw new EspalierError('EngineUnavailable', 'no such model', { file: '/models/none' });
    }
    return { sizeBytes: 2000 };
  },
  command: async (assignment, runDirectory) => ({
    file: process.execPath,
    args: [
      script,
      '--run-directory',
      runDirectory,
      '--rank',
      String(assignment.rank),
      ...assignment.engine.args,
    ],
    env: {},
  }),
  readStatus: async (runDirectory) => {
    const text = await readFile(join(runDirectory, 'status.json'), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : (JSON.parse(text) as EngineStatus);
  },
  canary: async (endpointUrl, _assignment, signal) => {
    const response = await fetch(`${endpointUrl}/canary`, { signal });
    if (!response.ok) throw new EspalierError('CanaryFailed', `canary got ${response.status}`);
  },
});
