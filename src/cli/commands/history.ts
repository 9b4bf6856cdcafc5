import { Command } from 'commander';
import { stringify } from 'yaml';
import { changeText, fieldChanges } from '../edit/merge-patch.ts';
import { historyOf, revisionsOf, targetRevision } from '../edit/revisions.ts';
import type { HistoryEntry } from '../edit/revisions.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import { programName } from '../invocation.ts';
import { findDeployment } from '../objects.ts';
import { wholeNumber } from '../options.ts';
import { age, note, outputOption, print, printValue, table } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import type { ModelDeployment, ModelDeploymentRevision } from '../../resources/types.ts';
import { revisionedFields } from '../../resources/revision.ts';

interface HistoryOptions extends BackendOptions {
  revision?: number;
  output: OutputFormat;
}

export const historyCommand = (): Command =>
  withBackendOptions(
    new Command('history')
      .description('Revisions of a deployment: what changed, which one runs, where its weights are')
      .argument('<deployment>', 'name of the ModelDeployment, or mdep/<name>')
      .option(
        '--revision <number>',
        'one of them in full, and what going back would change',
        wholeNumber,
      )
      .addOption(outputOption(['table', 'json', 'yaml']))
      .addHelpText(
        'after',
        `
CHANGES compares each revision with the one above it. An old spec that is applied again takes its old revision up
under the highest number, so numbers may have gaps. WEIGHTS names the nodes that need no download to go back.

Examples:
  espalier history sprout
  espalier history sprout --revision 2`,
      )
      .action(async (name: string, options: HistoryOptions) => history(name, options)),
  );

const history = async (name: string, options: HistoryOptions): Promise<void> => {
  const backend = await openBackend(options);
  const deployment = await findDeployment(backend, name, namespaceOf(backend, options));
  const revisions = await revisionsOf(backend, deployment);
  if (options.revision !== undefined) {
    return showOne(deployment, targetRevision(deployment, revisions, options.revision), options);
  }
  const entries = historyOf(deployment, revisions, await backend.nodes());
  if (options.output === 'json' || options.output === 'yaml') printValue(entries, options.output);
  else if (entries.length === 0) note('No revision is recorded yet.');
  else print(historyTable(entries, new Date()));
};

const historyTable = (entries: readonly HistoryEntry[], now: Date): string =>
  table(
    ['Revision', 'Name', 'Age', 'Runs', 'Weights', 'Changes'],
    entries.flatMap((entry) => {
      const [first = '-', ...others] = entry.changes;
      return [
        [
          `${entry.revision}${entry.isWanted ? ' *' : ''}`,
          entry.name,
          age(entry.created, now),
          entry.groups.length === 0 ? '-' : `group ${entry.groups.join(', ')}`,
          entry.cachedOn.join(', ') || '-',
          first,
        ],
        ...others.map((change) => ['', '', '', '', '', change]),
      ];
    }),
  ) + '\n* what spec asks for';

const showOne = (
  deployment: ModelDeployment,
  revision: ModelDeploymentRevision,
  { output }: HistoryOptions,
): void => {
  if (output === 'json' || output === 'yaml') return printValue(revision, output);
  const changes = fieldChanges(revisionedFields(deployment.spec), revision.data).map(changeText);
  const { name, creationTimestamp } = revision.metadata;
  print(`Revision ${revision.revision}, ${name}, of ${creationTimestamp}\n`);
  print(stringify(revision.data));
  if (changes.length === 0) return print('spec asks for this revision.');
  print(`Going back to it changes\n${changes.map((change) => `  ${change}`).join('\n')}`);
  return print(
    `\n${programName} undo ${deployment.metadata.name} --to-revision ${revision.revision}`,
  );
};
