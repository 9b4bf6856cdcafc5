import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import type { Backend } from '../backend/backend.ts';
import { findDeployment } from '../objects.ts';
import { secondsOption } from '../options.ts';
import { outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { renderStatus, statusLine } from '../status/render.ts';
import { reportStatus } from '../status/report.ts';
import type { StatusReport } from '../status/report.ts';

interface StatusOptions extends BackendOptions {
  watch: boolean;
  wait: boolean;
  timeout: number;
  output: OutputFormat;
}

export const statusCommand = (): Command =>
  withBackendOptions(
    new Command('status')
      .description('Is it serving, what is in the way and since when, and what to do about it')
      .argument('<deployment>', 'name of the ModelDeployment, or mdep/<name>')
      .option(
        '-w, --watch',
        'go on: the screen anew on a terminal, a line per change in a pipe',
        false,
      )
      .option('--wait', 'until it is ready or has failed', false)
      .addOption(secondsOption('--timeout <seconds>', 'longest --wait', 600))
      .addOption(outputOption(['table', 'json', 'yaml']))
      .addHelpText(
        'after',
        `
Exit code 0: ready; 6: in progress, also after --timeout; 7: failed, nothing goes on without you; 5: not found.

Examples:
  espalier status sprout
  espalier status sprout --watch
  espalier status sprout --wait --timeout 300 && echo it serves
  espalier status sprout -o json | jq -r '.obstacles[].what'`,
      )
      .action(async (name: string, options: StatusOptions) => status(name, options)),
  );

const pollMs = 1_000;

const status = async (name: string, options: StatusOptions): Promise<void> => {
  const backend = await openBackend(options);
  const namespace = namespaceOf(backend, options);
  const look = async () => lookAt(backend, name, namespace);
  if (options.watch) return watch(look, options);
  const report = options.wait ? await waitForEnd(look, options.timeout) : await look();
  show(report, options.output);
  judge(report);
};

const lookAt = async (backend: Backend, name: string, namespace: string): Promise<StatusReport> => {
  const deployment = await findDeployment(backend, name, namespace);
  const [nodes, revisions, events] = await Promise.all([
    backend.nodes(),
    backend.revisions(namespace),
    backend.events(namespace),
  ]);
  return reportStatus({ deployment, nodes, revisions, events });
};

type Look = () => Promise<StatusReport>;

const waitForEnd = async (look: Look, timeoutSeconds: number): Promise<StatusReport> => {
  const deadlineMs = systemClock.monotonicMs() + timeoutSeconds * 1000;
  for (;;) {
    const report = await look();
    const leftMs = deadlineMs - systemClock.monotonicMs();
    if (report.state !== 'InProgress' || leftMs <= 0) return report;
    await sleep(Math.min(pollMs, leftMs));
  }
};

/** Until Ctrl-C. What was there may go: then the object is not found, which ends it with that code. */
const watch = async (look: Look, { output }: StatusOptions): Promise<never> => {
  let last = '';
  for (;;) {
    const report = await look();
    const text = output === 'table' ? watchedText(report) : JSON.stringify(report);
    if (text !== last) print(text);
    last = text;
    await sleep(pollMs);
  }
};

const watchedText = (report: StatusReport): string => {
  if (!process.stdout.isTTY) return statusLine(report);
  // Backend and clear below, rather than clear all: nothing flickers.
  return `\u001B[H\u001B[J${renderStatus(report, { now: new Date(), isTerminal: true })}`;
};

const show = (report: StatusReport, output: OutputFormat): void => {
  if (output === 'json' || output === 'yaml') printValue(report, output);
  else print(renderStatus(report, { now: new Date(), isTerminal: process.stdout.isTTY }));
};

const judge = ({ state }: StatusReport): void => {
  if (state === 'Ready') return;
  throw new CommandFailure(state === 'Failed' ? exitCodes.stalled : exitCodes.inProgress, '');
};
