import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { toDot } from '../../planner/picture/dot.ts';
import { fleetPicture } from '../../planner/picture/fleet-picture.ts';
import type { FleetPicture } from '../../planner/picture/fleet-picture.ts';
import { toSvg } from '../../planner/picture/svg.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { note, outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { catalogueOption, collect } from '../options.ts';
import { planFiles } from '../plan-files.ts';
import type { PlannedFiles } from '../plan-files.ts';
import { renderPlan } from '../plan/render.ts';
import { applyWhatIf, whatIfHelp } from '../plan/what-if.ts';

interface Options {
  filename: string[];
  output: OutputFormat;
  whatIf: string[];
  catalogue: string[];
  promptTokens: number;
  generatedTokens: number;
  dot?: boolean;
  svg?: string;
}

export const planCommand = (): Command =>
  new Command('plan')
    .description(
      'How each deployment in the YAML would be cut, how fast it would be, and why every other option lost',
    )
    .requiredOption(
      '-f, --filename <path...>',
      'files or directories with ModelDeployments and ClusterNodes (spec.hardware says what a node has)',
    )
    .option(
      '--what-if <change>',
      'a fleet that is not in the YAML; may be given several times, see below',
      collect,
      [],
    )
    .addOption(catalogueOption())
    .option(
      '--prompt-tokens <n>',
      'length of the prompt that figures are for',
      positiveInteger,
      512,
    )
    .option(
      '--generated-tokens <n>',
      'length of the answer that figures are for',
      positiveInteger,
      128,
    )
    .option('--dot', 'print a graph for Graphviz instead')
    .option('--svg <file>', 'also draw nodes, shards, cables and their traffic')
    .addOption(outputOption(['table', 'json', 'yaml']))
    .addHelpText(
      'after',
      `
Nothing is started and no node is asked: nodes are taken as spec.hardware and spec.links declare them.
Exit code 0: every deployment has a plan; 3: invalid YAML; 4: at least one does not fit.

Changes for --what-if:
${whatIfHelp}

Examples:
  espalier plan -f examples/fleets/four-mac-minis
  espalier plan -f examples/fleets/four-mac-studios -o json
  espalier plan -f examples/fleets/mixed --what-if node/pro-3=like/pro-1 --what-if lost/old-m1
  espalier plan -f examples/fleets/four-mac-minis --svg plan.svg`,
    )
    .action(planAndPrint);

const planAndPrint = async (options: Options): Promise<void> => {
  const planned = await planFiles(options.filename, {
    catalogueFiles: options.catalogue,
    changeNodes: (nodes) => applyWhatIf(nodes, options.whatIf),
    workload: { promptTokens: options.promptTokens, generatedTokens: options.generatedTokens },
  });
  const { plans, problems } = planned;
  for (const problem of problems) note(`${problem.file}:${problem.line}: ${problem.message}`);
  if (options.svg !== undefined) writeFileSync(options.svg, toSvg(pictureOf(planned)));
  if (options.dot) print(toDot(pictureOf(planned)));
  else if (options.output === 'json' || options.output === 'yaml') {
    const shown = plans.map(({ model: _model, ...planned }) => planned);
    printValue({ plans: shown }, options.output);
  } else {
    for (const { namespace, name, result } of plans) {
      print(`ModelDeployment ${namespace}/${name}\n${renderPlan(result)}`);
    }
  }
  judge(planned);
};

const judge = ({ plans, problems }: PlannedFiles): void => {
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
};

const pictureOf = ({ nodes, plans }: PlannedFiles): FleetPicture =>
  fleetPicture(
    nodes,
    plans.flatMap(({ namespace, name, model, result }) =>
      model && result.ok ? [{ deployment: `${namespace}/${name}`, model, plan: result.plan }] : [],
    ),
  );

const positiveInteger = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 2 ** 24) {
    throw new InvalidArgumentError('an integer from 1 to 16777216');
  }
  return value;
};
