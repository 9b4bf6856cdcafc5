import { Command } from 'commander';
import { planFiles } from '../plan-files.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { note, outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { renderPlan } from '../../planner/render.ts';

export const planCommand = (): Command =>
  new Command('plan')
    .description('How each deployment in the YAML would be cut, and why every other option lost')
    .requiredOption(
      '-f, --filename <path...>',
      'files or directories with ModelDeployments and ClusterNodes (spec.hardware says what a node has)',
    )
    .addOption(outputOption(['table', 'json', 'yaml']))
    .addHelpText(
      'after',
      `
Nothing is started and no node is asked: nodes are taken as spec.hardware and spec.links declare them.
Exit code 0: every deployment has a plan; 3: invalid YAML; 4: at least one does not fit.

Examples:
  espalier plan -f examples/quickstart
  espalier plan -f fleet.yaml -f deepseek.yaml -o json`,
    )
    .action(async (options: { filename: string[]; output: OutputFormat }) => {
      const { plans, problems } = await planFiles(options.filename);
      for (const problem of problems) note(`${problem.file}:${problem.line}: ${problem.message}`);
      if (options.output === 'json' || options.output === 'yaml') {
        printValue({ plans }, options.output);
      } else {
        for (const { namespace, name, result } of plans) {
          print(`ModelDeployment ${namespace}/${name}\n${renderPlan(result)}`);
        }
      }
      if (problems.length > 0) {
        throw new CommandFailure(exitCodes.invalidInput, 'some documents are not valid');
      }
      if (plans.length === 0) {
        throw new CommandFailure(exitCodes.invalidInput, 'no ModelDeployment in these files');
      }
      const unplanned = plans.filter(({ result }) => !result.ok);
      if (unplanned.length > 0) {
        throw new CommandFailure(
          exitCodes.doesNotFit,
          `${unplanned.length} of ${plans.length} deployments cannot be planned`,
        );
      }
    });
