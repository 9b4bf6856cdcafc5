import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { EspalierError, errorMessage } from '../base/errors.ts';
import type { NativeAddon } from './types.ts';

const howToBuild =
  'Build it with a C++20 compiler and cmake: cmake -S native -B native/build && cmake --build native/build --parallel 2.';

/** Where the addon may lie, best first: what was built here, then what came with the package. */
const candidatePaths = (): string[] => {
  const override = process.env['ESPALIER_ADDON'];
  if (override) return [override];
  const native = fileURLToPath(new URL('../../native/', import.meta.url));
  return [
    `${native}build/espalier.node`,
    `${native}prebuilds/${process.platform}-${process.arch}.node`,
  ];
};

/**
 * Loads the native addon. Throws AddonUnavailable, which says how to build it, when there is none or it does not load.
 * ESPALIER_ADDON names another file.
 */
export const loadAddon = (): NativeAddon => {
  const paths = candidatePaths();
  const path = paths.find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw new EspalierError(
      'AddonUnavailable',
      `Expected the native addon at ${paths.join(' or ')}, found none. ${howToBuild}`,
      { paths },
    );
  }
  try {
    return createRequire(import.meta.url)(path) as NativeAddon;
  } catch (error) {
    throw new EspalierError(
      'AddonUnavailable',
      `The native addon ${path} does not load: ${errorMessage(error)}. ${howToBuild}`,
      { paths: [path] },
      { cause: error },
    );
  }
};
