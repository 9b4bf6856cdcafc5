import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { EspalierError } from '../base/errors.ts';

/**
 * Absolute path of the library that MLX opens as MPI (MLX_MPI_LIBNAME), best first: built here, then what came
 * with the package. Throws MpiLibraryUnavailable.
 */
export const mpiLibraryPath = (): string => {
  const native = fileURLToPath(new URL('../../native/', import.meta.url));
  const name = `libespalier_mpi.${process.platform === 'darwin' ? 'dylib' : 'so'}`;
  const paths = [
    `${native}build/${name}`,
    `${native}prebuilds/${process.platform}-${process.arch}/${name}`,
  ];
  const path = paths.find((candidate) => existsSync(candidate));
  if (path !== undefined) return path;
  throw new EspalierError(
    'MpiLibraryUnavailable',
    `Expected ${paths.join(' or ')}, found none. Build it with a C++20 compiler and cmake: ` +
      `cmake -S ${native} -B ${native}build && cmake --build ${native}build --target espalier_mpi.`,
    { paths },
  );
};
