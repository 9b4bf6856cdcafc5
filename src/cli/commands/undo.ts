import { Command } from 'commander';
import { runEdit, withEditOptions } from '../edit/run-edit.ts';
import type { EditOptions } from '../edit/run-edit.ts';
import { revisionsOf, targetRevision } from '../edit/revisions.ts';
import { namespaceOf, openBackend } from '../backend/choose.ts';
import { findDeployment } from '../objects.ts';
import { wholeNumber } from '../options.ts';
import { note } from '../output.ts';

interface UndoOptions extends EditOptions {
  toRevision?: number;
}

export const undoCommand = (): Command =>
  withEditOptions(
    new Command('undo')
      .description('Go back to an earlier revision by making its fields those of the spec again')
      .argument('<deployment>', 'name of the ModelDeployment, or mdep/<name>')
      .option(
        '--to-revision <number>',
        'number in "espalier history"; without it the newest that the spec is not',
        wholeNumber,
      )
      .addHelpText(
        'after',
        `
Only what a revision records is changed: model, runtime, objective, parallelism, interconnect, placement, degradation,
dataPolicy. Replicas, strategy and pause stay. Weights of recorded revisions are kept, so going back downloads nothing.

Examples:
  espalier undo sprout
  espalier undo sprout --to-revision 2 --dry-run`,
      ),
  ).action(async (name: string, options: UndoOptions) => undo(name, options));

const undo = async (text: string, options: UndoOptions): Promise<void> => {
  const backend = await openBackend(options);
  const namespace = namespaceOf(backend, options);
  const deployment = await findDeployment(backend, text, namespace);
  const { name } = deployment.metadata;
  const revisions = await revisionsOf(backend, deployment);
  const { revision, data } = targetRevision(deployment, revisions, options.toRevision);
  await runEdit(
    backend,
    { kind: 'ModelDeployment', namespace, name, change: (spec) => ({ ...spec, ...data }) },
    { options, done: `back at revision ${revision}` },
  );
  if (deployment.spec.paused) {
    note(`${name} is paused: this takes effect with "resume"`);
  }
};
