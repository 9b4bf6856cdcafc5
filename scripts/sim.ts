/**
 * Seeded fault runs of the whole control plane in simulated time: two replicas of the operator over an API server in
 * memory, simulated nodes, and everything that can go wrong between them. Prints a line per failing seed and a count.
 *   npm run sim -- --seeds 500           seeds 1 to 500
 *   npm run sim -- --seed 17             one of them: its last steps, if it fails
 *   npm run sim -- --seeds 500 --from 1001
 */
import { parseArgs } from 'node:util';
import { simulate } from '../test/sim/simulate.ts';
import type { Run } from '../test/sim/simulate.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help) {
  process.stdout.write('npm run sim [-- --seeds COUNT] [--from FIRST] [--seed ONE]\n');
  process.exit(0);
}

const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  process.stderr.write('--seeds, --from and --seed take whole numbers\n');
  process.exit(2);
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);

const report = (seed: number, { failure, steps, seconds, digest }: Run): void => {
  if (!failure) {
    if (count === 1) print(`seed ${seed} passed: ${steps} steps, ${seconds} s, trace ${digest}`);
    return;
  }
  const where = `seed ${seed} FAILED at step ${steps}, ${seconds} s: ${failure.message}`;
  if (count > 1) return print(`${where}; replay: npm run sim -- --seed ${seed}`);
  for (const line of failure.trace) print(line);
  if (failure.error instanceof Error) print(failure.error.stack ?? failure.error.message);
  print(`${where}; trace ${digest}`);
};

const startedMs = performance.now();
let failed = 0;
for (let seed = first; seed < first + count; seed += 1) {
  const run = await simulate(seed);
  if (run.failure) failed += 1;
  report(seed, run);
}
const elapsed = ((performance.now() - startedMs) / 1000).toFixed(0);
print(`${count} seeds, ${failed} failed, ${elapsed} s`);
// Replicas of a failed seed may still wait for something.
process.exit(failed === 0 ? 0 : 1);
