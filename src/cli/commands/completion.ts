import { Argument, Command } from 'commander';
import { complete } from '../completion/complete.ts';
import type { Completion } from '../completion/complete.ts';
import { shellScripts } from '../completion/shells.ts';
import { print } from '../output.ts';

export const completionCommand = (): Command =>
  new Command('completion')
    .description('A script that completes commands, options and the names of deployments and nodes')
    .addArgument(
      new Argument('<shell>', 'the shell that it is for').choices(Object.keys(shellScripts)),
    )
    .addHelpText(
      'after',
      `
For "kubectl espalier" nothing is needed but kubectl's own completion: it asks kubectl_complete-espalier on PATH.

Examples:
  espalier completion bash > /etc/bash_completion.d/espalier
  source <(espalier completion zsh)
  espalier completion fish > ~/.config/fish/completions/espalier.fish`,
    )
    .action((shell: keyof typeof shellScripts) => print(shellScripts[shell]));

/** Longer than that and the user has typed the name. */
const deadlineMs = 3_000;

/** What the scripts, and kubectl through kubectl_complete-espalier, ask. Never fails: no answer is an answer. */
export const completeCommand = (root: Command): Command =>
  new Command('__complete')
    .argument('[words...]', 'the words so far; the last one is to be completed')
    .action(async (words: string[]) => {
      const { candidates, takesFiles } = await answer(root, words);
      const lines = candidates.map(({ word, description = '' }) =>
        description === '' ? word : `${word}\t${description}`,
      );
      // Cobra's directives, which kubectl reads: 4 is "no files".
      print([...lines, takesFiles ? ':0' : ':4'].join('\n'));
    });

const answer = async (root: Command, words: readonly string[]): Promise<Completion> => {
  const nothing = { candidates: [], takesFiles: false };
  const late = Promise.withResolvers<Completion>();
  const timer = setTimeout(() => late.resolve(nothing), deadlineMs);
  try {
    return await Promise.race([complete(root, words), late.promise]);
  } catch {
    return nothing;
  } finally {
    clearTimeout(timer);
  }
};
