import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** What this machine's memory gives to a plain loop, in gigabytes (10⁹) per second. */
export interface Bandwidth {
  /** A sum over 512 MiB. */
  read: number;
  /** memcpy of 256 MiB to other 256 MiB; what is read and what is written both count. */
  copy: number;
}

/** Builds the native benchmark, which `npm run build` leaves out. Returns a probe with that many threads. */
export const prepareBandwidthProbe = (root: string): ((threads: number) => Bandwidth) => {
  const target = 'espalier_engine_bench';
  execFileSync(
    'cmake',
    ['--build', join(root, 'native/build'), '--parallel', '2', '--target', target],
    { stdio: ['ignore', 'ignore', 'inherit'], timeout: 10 * 60_000 },
  );
  return (threads) => {
    // It decodes too: as little as possible.
    const model = join(root, 'examples/models/sprout');
    const file = join(root, 'native/build/bench', target);
    const text = execFileSync(file, [model, String(threads), '1', '1', '1'], { timeout: 60_000 });
    const measured = JSON.parse(text.toString()) as Record<string, number>;
    return {
      read: measured['memoryGigabytesPerSecond']!,
      copy: measured['copyGigabytesPerSecond']!,
    };
  };
};
