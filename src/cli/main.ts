#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { EspalierError, errorMessage } from '../base/errors.ts';
import { describeCommand } from './commands/describe.ts';
import { eventsCommand } from './commands/events.ts';
import { getCommand } from './commands/get.ts';
import { launchCommand } from './commands/launch.ts';
import { logsCommand } from './commands/logs.ts';
import { nodeCommand } from './commands/node.ts';
import { perfCommand } from './commands/perf.ts';
import { planCommand } from './commands/plan.ts';
import { quickstartCommand } from './commands/quickstart.ts';
import { upCommand } from './commands/up.ts';
import { validateCommand } from './commands/validate.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import { note } from './output.ts';
import { packageRoot } from './package-root.ts';

const program = (): Command => {
  const { version, description } = JSON.parse(
    readFileSync(join(packageRoot(), 'package.json'), 'utf8'),
  ) as { version: string; description: string };
  const root = new Command('espalier').description(description).version(version);
  for (const command of [
    quickstartCommand(),
    upCommand(),
    nodeCommand(),
    launchCommand(),
    getCommand(),
    describeCommand(),
    eventsCommand(),
    logsCommand(),
    perfCommand(),
    planCommand(),
    validateCommand(),
  ]) {
    root.addCommand(command);
  }
  root.addHelpText('after', `\nExit codes: ${exitCodeList()}`);
  root.exitOverride();
  for (const command of root.commands) command.exitOverride();
  return root;
};

const exitCodeList = (): string =>
  Object.entries(exitCodes)
    .map(([name, code]) => `${code} ${name}`)
    .join(', ');

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong in one sentence and gives the exit code; a stack only for what is a bug. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
  }
  if (error instanceof CommandFailure) {
    if (error.message !== '') note(`espalier: ${error.message}`);
    return error.exitCode;
  }
  if (error instanceof EspalierError) {
    note(`espalier: ${error.message} [${error.code}]`);
    return exitCodes.failure;
  }
  note(
    `espalier: ${error instanceof Error ? (error.stack ?? error.message) : errorMessage(error)}`,
  );
  return exitCodes.failure;
}
