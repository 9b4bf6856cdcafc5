/**
 * Seeded fault runs of the whole control plane in simulated time: two replicas of the operator over an API server in
 * memory, simulated nodes, and everything that can go wrong between them. Prints a line per failing seed and a count.
 *   npm run sim -- --seeds 500           seeds 1 to 500
 *   npm run sim -- --seed 17             one of them, with its error
 *   npm run sim -- --seeds 500 --from 1001
 */
import { parseArgs } from 'node:util';
import { simulate } from '../test/sim/simulate.ts';

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

const startedMs = performance.now();
const failed: number[] = [];
for (let seed = first; seed < first + count; seed += 1) {
  try {
    await simulate(seed);
  } catch (error) {
    failed.push(seed);
    const message = error instanceof Error ? error.message : String(error);
    process.stdout.write(`seed ${seed} FAILED: ${message.split('\n')[0]}\n`);
    if (count === 1) process.stdout.write(`${error instanceof Error ? error.stack : message}\n`);
  }
}
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
process.stdout.write(`${count} seeds, ${failed.length} failed, ${seconds} s\n`);
// Replicas of a failed seed may still wait for something.
process.exit(failed.length === 0 ? 0 : 1);
