import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { runCommand } from './command.mjs';

/** Installs node_modules when package-lock.json has changed since the last install, or there is none. */
export const ensureDependencies = async (root) => {
  const stamp = `${root}/node_modules/.espalier-installed`;
  const lockHash = createHash('sha256')
    .update(readFileSync(`${root}/package-lock.json`))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash) return;
  // Not "npm ci": it refuses a lock file that was written where the registry lacks other platforms' binaries.
  await runCommand(
    'Installing npm packages',
    'npm',
    ['install', '--no-save', '--loglevel=error', '--no-audit', '--no-fund'],
    { cwd: root, timeoutMs: 10 * 60_000 },
  );
  const node = `${root}/node_modules/.bin/node`;
  if (!existsSync(node)) {
    throw new Error(
      `The pinned Node is not at ${node}: npm did not run the install script of the package "node". ` +
        'Run "npm install-scripts approve node" (npm 11) or install Node 24 and run its npm ci.',
    );
  }
  writeFileSync(stamp, lockHash);
};
