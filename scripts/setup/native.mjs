import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from './command.mjs';

/**
 * Builds native/ into native/build when a source has changed since the last build of the same target.
 * @param {'all' | 'espalier_runtime'} target `all` adds the C++ tests and benchmarks.
 */
export const ensureNative = async (root, target) => {
  const build = `${root}/native/build`;
  const stamp = `${build}/.espalier-built-${target}`;
  const sourceHash = hashOfSources(`${root}/native`);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === sourceHash) return;
  await runCommand('Configuring native code', 'cmake', ['-S', 'native', '-B', build], {
    cwd: root,
    timeoutMs: 2 * 60_000,
  });
  await runCommand(
    'Building native code',
    'cmake',
    ['--build', build, '--parallel', '2', '--target', target],
    { cwd: root, timeoutMs: 10 * 60_000 },
  );
  writeFileSync(stamp, sourceHash);
};

const hashOfSources = (directory) => {
  const hash = createHash('sha256');
  const walk = (folder) => {
    for (const name of readdirSync(folder).sort()) {
      const path = join(folder, name);
      if (name.startsWith('build') && folder === directory) continue;
      if (statSync(path).isDirectory()) walk(path);
      else hash.update(path.slice(directory.length)).update(readFileSync(path));
    }
  };
  walk(directory);
  return hash.digest('hex');
};
