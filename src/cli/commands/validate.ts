import { Command } from 'commander';
import { validateFiles } from '../../resources/read-files.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';

export const validateCommand = (): Command =>
  new Command('validate')
    .description('Check YAML as the control plane would, without applying it')
    .requiredOption('-f, --filename <path...>', 'files or directories of YAML')
    .addOption(outputOption(['table', 'json', 'yaml']))
    .addHelpText(
      'after',
      `
Every problem is named with file, line, field, what was expected and what came.
Exit code 0: all good; 3: problems.

Examples:
  espalier validate -f examples/quickstart
  espalier validate -f deployment.yaml -o json`,
    )
    .action((options: { filename: string[]; output: OutputFormat }) => {
      const { objects, problems } = validateFiles(options.filename);
      if (options.output === 'json' || options.output === 'yaml') {
        const valid = objects.map(({ kind, metadata }) => ({ kind, ...nameOf(metadata) }));
        printValue({ valid, problems }, options.output);
      } else {
        for (const { kind, metadata } of objects) print(`ok       ${kind}/${metadata.name}`);
        for (const problem of problems) {
          print(`problem  ${problem.file}:${problem.line}: ${problem.message}`);
        }
      }
      if (problems.length > 0) {
        throw new CommandFailure(
          exitCodes.invalidInput,
          `${problems.length} problem${problems.length === 1 ? '' : 's'} in ${options.filename.join(', ')}`,
        );
      }
      if (objects.length === 0) {
        throw new CommandFailure(
          exitCodes.invalidInput,
          `no espalier.dev resource in ${options.filename.join(', ')}`,
        );
      }
    });

const nameOf = (metadata: { name: string; namespace?: string | undefined }) =>
  metadata.namespace === undefined
    ? { name: metadata.name }
    : { name: metadata.name, namespace: metadata.namespace };
