import { writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { toDot } from '../../planner/picture/dot.ts';
import { fleetPicture } from '../../planner/picture/fleet-picture.ts';
import type { FleetPicture } from '../../planner/picture/fleet-picture.ts';
import { toSvg } from '../../planner/picture/svg.ts';
import type { PlanNode } from '../../planner/types.ts';
import type { ModelDeployment } from '../../resources/types.ts';
import { errorMessage, EspalierError } from '../../base/errors.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { planLive } from '../fleet/live-plan.ts';
import type { LivePlanOptions } from '../fleet/live-plan.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import type { Backend } from '../backend/backend.ts';
import { findDeployment } from '../objects.ts';
import { renderRunning } from '../plan/running.ts';
import { note, outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { catalogueOption, collect } from '../options.ts';
import { planFiles } from '../plan-files.ts';
import type { PlannedDeployment, PlannedFiles } from '../plan-files.ts';
import { renderGaps, renderPlan, renderVictims } from '../plan/render.ts';
import { applyWhatIf, whatIfHelp } from '../plan/what-if.ts';

interface Options extends BackendOptions {
  filename?: string[];
  output: OutputFormat;
  whatIf: string[];
  catalogue: string[];
  promptTokens: number;
  generatedTokens: number;
  dot?: boolean;
  svg?: string;
}

export const planCommand = (): Command =>
  withBackendOptions(
    new Command('plan')
      .description(
        'How a deployment is cut, or how each in the YAML would be, how fast, and why every other option lost',
      )
      .argument('[deployment]', 'a live ModelDeployment: what runs, and what would be planned now')
      .option(
        '-f, --filename <path...>',
        'instead: files or directories with ModelDeployments and ClusterNodes (spec.hardware says what a node has)',
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
Nothing is started. With -f no node is asked: nodes are taken as spec.hardware and spec.links declare them. With a
name, nodes are taken as they report, beside all else that runs; the model's config.json must be readable here.
Exit code 0: every deployment has a plan; 3: invalid YAML or catalogue; 4: at least one does not fit.

Changes for --what-if:
${whatIfHelp}

Examples:
  espalier plan sprout
  espalier plan sprout --what-if lost/mini-1
  espalier plan -f examples/fleets/four-mac-minis
  espalier plan -f examples/fleets/four-mac-studios -o json
  espalier plan -f examples/fleets/mixed --what-if node/pro-3=like/pro-1 --what-if lost/old-m1
  espalier plan -f examples/fleets/four-mac-minis --svg plan.svg`,
      )
      .action(planAndPrint),
  );

const planAndPrint = async (name: string | undefined, options: Options): Promise<void> => {
  const { filename } = options;
  if ((name === undefined) === (filename === undefined)) {
    throw new CommandFailure(
      exitCodes.usage,
      'name a live deployment, or files with -f: either, and not both',
    );
  }
  const how = {
    catalogueFiles: options.catalogue,
    changeNodes: (nodes: PlanNode[]) => applyWhatIf(nodes, options.whatIf),
    workload: { promptTokens: options.promptTokens, generatedTokens: options.generatedTokens },
  };
  if (filename !== undefined) return show(await planFiles(filename, how), options);
  const backend = await openBackend(options);
  const deployment = await findDeployment(backend, name ?? '', namespaceOf(backend, options));
  if (options.output === 'table' && !options.dot) print(renderRunning(deployment));
  return show(await livePlan(backend, deployment, how), options);
};

const livePlan = async (
  backend: Backend,
  deployment: ModelDeployment,
  how: LivePlanOptions,
): Promise<PlannedFiles> => {
  const { name, namespace = 'default' } = deployment.metadata;
  const { priority } = deployment.spec;
  try {
    const { nodes, gaps, ...planned } = await planLive(backend, deployment, how);
    const plans = [{ namespace, name, priority, ...planned }];
    return { plans, nodes, gaps, notes: [], problems: [] };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    throw new CommandFailure(
      exitCodes.failure,
      `what would be planned now cannot be said on this host: ${error.message} [${error.code}]; ` +
        "run this where the model's config.json is",
      { cause: error },
    );
  }
};

const show = (planned: PlannedFiles, options: Options): void => {
  const { plans, gaps, notes, problems } = planned;
  for (const problem of problems) note(`${problem.file}:${problem.line}: ${problem.message}`);
  if (options.svg !== undefined) writePicture(options.svg, planned);
  if (options.dot) print(toDot(pictureOf(planned)));
  else if (options.output === 'json' || options.output === 'yaml') {
    const shown = plans.map(({ model: _model, ...planned }) => planned);
    printValue({ plans: shown, gaps, notes }, options.output);
  } else {
    const live = options.filename === undefined ? ', planned now' : '';
    for (const each of plans) {
      print(`${titleOf(each, plans)}${live}\n${renderPlan(each.result, each.groups)}`);
      if (each.victims && each.victims.length > 0) print(renderVictims(each.victims));
    }
    if (gaps.length > 0) print(renderGaps(gaps));
    for (const text of notes) print(`\n${text}`);
  }
  judge(planned);
};

/** Its priority is said where any deployment has one. */
const titleOf = (
  { namespace, name, priority }: PlannedDeployment,
  all: readonly PlannedDeployment[],
): string => {
  const isTold = all.some((each) => each.priority !== 0);
  return `ModelDeployment ${namespace}/${name}${isTold ? `, priority ${priority}` : ''}`;
};

const writePicture = (file: string, planned: PlannedFiles): void => {
  try {
    writeFileSync(file, toSvg(pictureOf(planned)));
  } catch (error) {
    throw new CommandFailure(
      exitCodes.usage,
      `--svg ${file}: cannot be written (${errorMessage(error)}): name a file in a folder that is there`,
      { cause: error },
    );
  }
};

const judge = ({ plans, problems, skipped = [] }: PlannedFiles): void => {
  if (problems.length > 0) {
    throw new CommandFailure(exitCodes.invalidInput, 'some documents are not valid');
  }
  if (plans.length === 0) {
    for (const { file, line, message } of skipped) note(`${file}:${line}: ${message}`);
    throw new CommandFailure(
      exitCodes.invalidInput,
      'no ModelDeployment in these files; in folders only .yaml and .yml are read',
    );
  }
  const unplanned = plans.filter(({ result, groups = [result] }) => groups.some(({ ok }) => !ok));
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
    plans.flatMap(({ namespace, name, model, result, groups = [result] }) =>
      groups.flatMap((group, index) => {
        const label = groups.length > 1 ? `, group ${index}` : '';
        return model && group.ok
          ? [{ deployment: `${namespace}/${name}${label}`, model, plan: group.plan }]
          : [];
      }),
    ),
  );

const positiveInteger = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 2 ** 24) {
    throw new InvalidArgumentError('an integer from 1 to 16777216');
  }
  return value;
};
