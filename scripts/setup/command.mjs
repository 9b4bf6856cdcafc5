import { spawn } from 'node:child_process';

/** Runs a command to its end with a deadline; its output is shown (on stderr) only when it fails. */
export const runCommand = async (title, file, args, { cwd, timeoutMs }) => {
  process.stderr.write(`${title} …\n`);
  const startedMs = performance.now();
  const output = [];
  const child = spawn(file, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const outcome = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : `exit ${code ?? signal}`));
  });
  clearTimeout(timer);
  if (outcome !== undefined) {
    const tail = Buffer.concat(output).toString().split('\n').slice(-60).join('\n');
    throw new Error(`${tail}\n${title}: failed (${outcome}): ${file} ${args.join(' ')}`);
  }
  process.stderr.write(`${title}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
};
