import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { EspalierError } from '../base/errors.ts';

const howToBuild =
  'Build it with a C++20 compiler and cmake: cmake -S native -B native/build && cmake --build native/build --parallel 2 --target espalier-perf.';

/**
 * Path of espalier-perf (native/bench/), which measures the transport: what was built here, else what came with the
 * package; ESPALIER_PERF names another file. Throws PerfUnavailable, which says how to build it.
 */
export const perfProgramPath = (): string => {
  const override = process.env['ESPALIER_PERF'];
  const native = fileURLToPath(new URL('../../native/', import.meta.url));
  const paths = override
    ? [override]
    : [
        `${native}build/bench/espalier-perf`,
        `${native}prebuilds/${process.platform}-${process.arch}-espalier-perf`,
      ];
  const path = paths.find((candidate) => existsSync(candidate));
  if (path !== undefined) return path;
  throw new EspalierError(
    'PerfUnavailable',
    `Expected the program espalier-perf at ${paths.join(' or ')}, found none. ${howToBuild}`,
    { paths },
  );
};
