import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Of what lived after a full collection: the next one comes when so much has been added. */
const oldGrowthPercent = 60;
/** Both halves. Less makes collections too many and lets short lives into the old generation. */
const youngBytes = 16 * 2 ** 20;

/**
 * Lets V8 collect before garbage outweighs what lives. On a machine with memory to spare it would let the young
 * generation grow to 128 MiB and the old one to several times its contents; a control plane has processor time to
 * spare instead. No limit: the heap grows with the fleet for as long as the machine has memory.
 *
 * Does nothing when whoever started Node has said how the heap shall grow.
 */
export const keepHeapLean = (): void => {
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ');
  if (/--(min-|max-)?semi-space|--heap-growing/.test(given.replaceAll('_', '-'))) return;
  // V8 looks at these flags whenever it collects, so that they may be set in a running process.
  setFlagsFromString(`--heap-growing-percent=${oldGrowthPercent}`);
  // So little takes one thread 1 to 5 ms; helpers on a busy machine keep it waiting for several times as long.
  setFlagsFromString('--no-parallel-scavenge');
  let factor = 0;
  // After a quiet time V8 makes the young generation smaller, and it has to grow again.
  const steer = (): void => {
    const next = youngSize() < youngBytes ? 2 : 1;
    if (next === factor) return;
    factor = next;
    setFlagsFromString(`--semi-space-growth-factor=${factor}`);
  };
  steer();
  new PerformanceObserver(steer).observe({ entryTypes: ['gc'] });
};

const youngSize = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0;
