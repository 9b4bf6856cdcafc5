// Runs a TypeScript entry point under the pinned Node, after installing and building whatever is missing.
// Plain JavaScript that also runs on Node 20: it is what the machine's own Node executes first.
//   node scripts/run.mjs src/cli/main.ts quickstart --once
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ensureDependencies } from './setup/dependencies.mjs';
import { ensureNative } from './setup/native.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const [entry, ...args] = process.argv.slice(2);

try {
  await ensureDependencies(root);
  // What kubectl calls runs no rank: it asks an API server.
  const isPlugin = process.env['ESPALIER_INVOKED_AS'] !== undefined;
  if (!isPlugin)
    await ensureNative(root, entry.startsWith('scripts/') ? 'all' : 'espalier_runtime');
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

// The command starts in half the time where Node keeps what it compiled; not for scripts, where coverage is measured.
const cache = entry.startsWith('src/') ? { NODE_COMPILE_CACHE: `${root}/.cache/compiled` } : {};
const child = spawn(`${root}/node_modules/.bin/node`, [`${root}/${entry}`, ...args], {
  stdio: 'inherit',
  env: { ...cache, ...process.env },
});
// The terminal sends Ctrl-C to the whole foreground group; the child decides when it is done.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => signal !== 'SIGINT' && child.kill(signal));
}
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
