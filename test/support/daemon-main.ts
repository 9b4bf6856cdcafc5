/** A daemon with the test engine as a process of its own: node daemon-main.ts '<JSON options>' */
import { createLogger } from '../../src/base/logger.ts';
import { runNode } from '../../src/daemon/run-node.ts';
import type { RunNodeOptions } from '../../src/daemon/run-node.ts';
import { testEngine } from './test-engine.ts';

const { engineName, ...options } = JSON.parse(process.argv[2] ?? '{}') as Pick<
  RunNodeOptions,
  'nodeName' | 'hubUrl' | 'dataDirectory' | 'stopRanks' | 'timing'
> & { engineName?: string };
try {
  await runNode({
    ...options,
    engines: [testEngine(engineName)],
    logger: createLogger({ name: 'daemon' }),
    daemonVersion: '0.0.0-test',
  });
} catch (error) {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
}
