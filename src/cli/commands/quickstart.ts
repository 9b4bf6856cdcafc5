import { Command } from 'commander';

export const quickstartCommand = (): Command =>
  new Command('quickstart')
    .description(
      'Control plane, three node daemons and a model cut across two of them, on this host',
    )
    .option(
      '--once',
      'ask one question, compare with a single rank, print the result, stop everything',
      false,
    )
    .option('--json', 'print one JSON document on stdout', false)
    .option('--prompt <text>', 'what the model continues', 'Alice was beginning to')
    .addHelpText(
      'after',
      `
Applies examples/quickstart/, which stays watched: edit it and see. Without --once it stays up until Ctrl-C.

Examples:
  espalier quickstart
  espalier quickstart --once --json`,
    )
    .action(async (options: { once: boolean; json: boolean; prompt: string }) => {
      const { runQuickstart } = await import('../quickstart/run.ts');
      await runQuickstart(options);
    });
