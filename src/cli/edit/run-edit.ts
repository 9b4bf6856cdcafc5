import type { Command } from 'commander';
import { CommandFailure, exitCodes } from '../exit.ts';
import { withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import type { Backend, Proposal, SpecEdit } from '../backend/backend.ts';
import { note, outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';

export interface EditOptions extends BackendOptions {
  dryRun: boolean;
  write: boolean;
  force: boolean;
  output: OutputFormat;
}

const editHelp = `
An object that Argo CD or Flux keeps as Git says is not changed without --force: it would be changed back. What is
printed instead is the change to commit. Over a state directory the YAML says what is wanted: what is printed is the
change to its file, which --write makes, with comments and layout kept.
Exit code 0: done, or so already; 8: refused, nothing was written; 5: not found.`;

/** For every command that changes a spec. */
export const withEditOptions = (command: Command): Command =>
  withBackendOptions(
    command
      .option('--dry-run', 'show the change, let the API server check it, keep nothing', false)
      .option('--write', 'over a state directory: change the YAML file', false)
      .option('--force', 'change the object although Git says otherwise', false)
      .addOption(outputOption(['table', 'json', 'yaml'])),
  ).addHelpText('after', editHelp);

/** What came of an edit; `-o json` prints it. */
export interface EditResult {
  /** "modeldeployment/sprout". */
  object: string;
  changes: string[];
  diff: string;
  written: boolean;
  /** Why nothing was written. */
  refused?: string;
}

/**
 * Shows or makes one change. `done` is its past participle: "paused". Prints the result unless `isQuiet`.
 * Throws CommandFailure (refused) when it must not be written without a further option.
 */
export const runEdit = async (
  backend: Backend,
  edit: SpecEdit,
  { options, done, isQuiet = false }: { options: EditOptions; done: string; isQuiet?: boolean },
): Promise<EditResult> => {
  const proposal = await backend.propose(edit);
  const { changes, diff } = proposal;
  const refused = changes.length > 0 && !options.dryRun ? refusal(proposal, options) : undefined;
  const written = changes.length > 0 && !options.dryRun && refused === undefined;
  if (changes.length > 0 && refused === undefined) await proposal.apply(options);
  const result: EditResult = {
    object: `${edit.kind.toLowerCase()}/${edit.name}`,
    changes,
    diff,
    written,
    ...(refused === undefined ? {} : { refused }),
  };
  if (options.output !== 'table') {
    if (!isQuiet || refused !== undefined)
      printValue(result, options.output === 'yaml' ? 'yaml' : 'json');
  } else say(result, { proposal, done, isDryRun: options.dryRun });
  if (refused !== undefined) throw new CommandFailure(exitCodes.refused, refused);
  return result;
};

const refusal = ({ hold }: Proposal, { write, force }: EditOptions): string | undefined => {
  if (!hold) return undefined;
  return (hold.option === '--write' ? write : force) ? undefined : hold.explanation;
};

const say = (
  { object, changes, diff, written }: EditResult,
  { proposal, done, isDryRun }: { proposal: Proposal; done: string; isDryRun: boolean },
): void => {
  if (changes.length === 0) return print(`${object} is ${done} already`);
  if (written) {
    print(`${object} ${done} (${changes.join(', ')})`);
    if (proposal.afterwards !== undefined) note(proposal.afterwards);
    return undefined;
  }
  if (isDryRun) note(`${object} would be ${done}; nothing was written (dry run)`);
  print(diff);
  return undefined;
};
