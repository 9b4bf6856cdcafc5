#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { EspalierError, errorMessage } from '../base/errors.ts';
import { completeCommand, completionCommand } from './commands/completion.ts';
import { cordonCommand, uncordonCommand } from './commands/cordon.ts';
import { describeCommand } from './commands/describe.ts';
import { drainCommand } from './commands/drain.ts';
import { eventsCommand } from './commands/events.ts';
import { getCommand } from './commands/get.ts';
import { historyCommand } from './commands/history.ts';
import { launchCommand } from './commands/launch.ts';
import { logsCommand } from './commands/logs.ts';
import { nodeCommand } from './commands/node.ts';
import { nodesCommand } from './commands/nodes.ts';
import { operatorCommand } from './commands/operator.ts';
import { perfCommand } from './commands/perf.ts';
import { planCommand } from './commands/plan.ts';
import { quickstartCommand } from './commands/quickstart.ts';
import { pauseCommand, restartCommand, resumeCommand } from './commands/rollout.ts';
import { statusCommand } from './commands/status.ts';
import { undoCommand } from './commands/undo.ts';
import { upCommand } from './commands/up.ts';
import { validateCommand } from './commands/validate.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import { programName } from './invocation.ts';
import { note } from './output.ts';
import { packageRoot } from './package-root.ts';

const program = (): Command => {
  const { version, description } = JSON.parse(
    readFileSync(join(packageRoot(), 'package.json'), 'utf8'),
  ) as { version: string; description: string };
  const root = new Command(programName).description(description).version(version);
  for (const command of [
    quickstartCommand(),
    upCommand(),
    operatorCommand(),
    nodeCommand(),
    launchCommand(),
    statusCommand(),
    historyCommand(),
    undoCommand(),
    pauseCommand(),
    resumeCommand(),
    restartCommand(),
    nodesCommand(),
    cordonCommand(),
    uncordonCommand(),
    drainCommand(),
    getCommand(),
    describeCommand(),
    eventsCommand(),
    logsCommand(),
    planCommand(),
    validateCommand(),
    perfCommand(),
    completionCommand(),
  ]) {
    root.addCommand(command);
  }
  root.addCommand(completeCommand(root), { hidden: true });
  root.addHelpText('after', `\nExit codes: ${exitCodeList()}`);
  for (const command of [root, ...root.commands]) {
    command.exitOverride();
    command.configureOutput({ writeOut: (text) => process.stdout.write(asCalled(text)) });
  }
  return root;
};

/** Examples in help texts name the program as the user called it. */
const asCalled = (text: string): string => text.replaceAll(/^( +)espalier /gm, `$1${programName} `);

const exitCodeList = (): string =>
  Object.entries(exitCodes)
    .map(([name, code]) => `${code} ${name}`)
    .join(', ');

// `espalier plan … | head`: who reads has enough, which is no fault of the command.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

// Between two attempts of a request nothing is open, a pause keeps nobody alive, and Node would end.
const alive = setInterval(() => undefined, 60_000);
try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = report(error);
} finally {
  clearInterval(alive);
}

/** Says what went wrong in one sentence and gives the exit code; a stack only for what is a bug. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
  }
  if (error instanceof CommandFailure) {
    if (error.message !== '') note(`${programName}: ${error.message}`);
    return error.exitCode;
  }
  if (error instanceof EspalierError) {
    note(`${programName}: ${error.message} [${error.code}]`);
    return error.code === 'CatalogueInvalid' ? exitCodes.invalidInput : exitCodes.failure;
  }
  note(
    `${programName}: ${error instanceof Error ? (error.stack ?? error.message) : errorMessage(error)}`,
  );
  return exitCodes.failure;
}
