import { parseArgs } from 'node:util';

const notRun: string[] = [];

/** Says now and at the end that a part could not run here. With CI=true that is a failure. */
export const giveUp = (what: string, why: string): void => {
  notRun.push(`${what}: ${why}`);
  process.stderr.write(`\n!! ${what} NOT RUN: ${why}\n`);
};

/**
 * Runs the steps of a check, or with `--only a,b` these, in the order given, and ends the process when one fails.
 * Other arguments are `files`, if the check has any, and go to every step.
 */
export const runSteps = (
  { title, script, files }: { title: string; script: string; files?: string },
  steps: Record<string, (files: string[]) => void>,
): void => {
  const { values, positionals } = parseArgs({
    options: { only: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    allowPositionals: files !== undefined,
  });
  if (values.help) {
    const only = `[--only ${Object.keys(steps).join(',')}]`;
    process.stdout.write(`npm run ${script} [-- ${[only, files ?? []].flat().join(' ')}]\n`);
    process.exit(0);
  }
  const chosen = values.only?.split(',') ?? Object.keys(steps);
  const unknown = chosen.filter((name) => !(name in steps));
  if (unknown.length > 0) {
    const known = Object.keys(steps).join(', ');
    process.stderr.write(`--only names ${unknown.join(', ')}; there are ${known}\n`);
    process.exit(2);
  }
  const startedMs = performance.now();
  for (const name of chosen) steps[name]?.(positionals);
  process.stderr.write(`\n${title}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`);
  if (notRun.length === 0) return;
  const lines = notRun.map((line) => `!!   ${line}\n`).join('');
  process.stderr.write(`\n!! NOT EVERYTHING RAN:\n${lines}`);
  if (process.env['CI']) process.exit(1);
};
