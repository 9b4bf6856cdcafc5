/** Proves that the package is whole: no dead code, a build that runs, and what `npm pack` would publish. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (name: string, args: string[]): void => {
  const { status } = spawnSync(`${root}/node_modules/.bin/${name}`, args, {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
};

rmSync(`${root}/dist`, { recursive: true, force: true });
run('tsc', ['-p', 'tsconfig.build.json']);
run('publint', ['--strict']);
run('knip', ['--no-progress']);
run('node', ['dist/cli/main.js', '--version']);
