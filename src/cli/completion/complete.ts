import type { Argument, Command, Option } from 'commander';
import { openBackend } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import type { Backend } from '../backend/backend.ts';
import { kindAndName } from '../kinds.ts';
import { findObjects } from '../objects.ts';

/** What a shell may put in the place of the last word. */
export interface Completion {
  /** With a description each, where there is one. */
  candidates: { word: string; description?: string }[];
  /** Files may be named here, too. */
  takesFiles: boolean;
}

/** `words`: what stands after the program's name, the last of them unfinished. Asks the control plane for names. */
export const complete = async (root: Command, words: readonly string[]): Promise<Completion> => {
  const current = words.at(-1) ?? '';
  const { command, position, pendingOption, backendOptions } = walk(root, words.slice(0, -1));
  const completion = pendingOption
    ? await optionValues(pendingOption, backendOptions)
    : current.startsWith('-')
      ? only(optionNames(command))
      : await argumentValues(command, position, backendOptions, words);
  return {
    ...completion,
    candidates: completion.candidates.filter(({ word }) => word.startsWith(current)),
  };
};

interface Walk {
  command: Command;
  /** How many arguments of it stand already. */
  position: number;
  /** The last word is its value. */
  pendingOption: Option | undefined;
  backendOptions: BackendOptions;
}

const walk = (root: Command, words: readonly string[]): Walk => {
  const state: Walk = { command: root, position: 0, pendingOption: undefined, backendOptions: {} };
  for (const word of words) {
    if (state.pendingOption) {
      remember(state, state.pendingOption, word);
      state.pendingOption = undefined;
    } else if (word.startsWith('-')) {
      const [flag, value] = word.split(/=(.*)/s);
      const option = state.command.options.find(
        ({ long, short }) => flag === long || flag === short,
      );
      if (option && value !== undefined) remember(state, option, value);
      else if (option?.required) state.pendingOption = option;
    } else {
      const child = state.position === 0 && find(state.command, word);
      if (child) state.command = child;
      else state.position += 1;
    }
  }
  return state;
};

const find = ({ commands }: Command, name: string): Command | undefined =>
  commands.find((command) => command.name() === name);

const remember = (state: Walk, option: Option, value: string): void => {
  const name = option.attributeName();
  if (['namespace', 'kubeconfig', 'context', 'stateDir'].includes(name)) {
    state.backendOptions = { ...state.backendOptions, [name]: value };
  }
};

const only = (candidates: Completion['candidates']): Completion => ({
  candidates,
  takesFiles: false,
});

const optionNames = ({ options }: Command): Completion['candidates'] =>
  options
    .filter(({ hidden, long }) => !hidden && long)
    .map(({ long, description }) => ({ word: long!, description }));

const optionValues = async (option: Option, backend: BackendOptions): Promise<Completion> => {
  if (option.argChoices) return only(option.argChoices.map((word) => ({ word })));
  const name = option.attributeName();
  if (name === 'output') return only(option.description.split(' | ').map((word) => ({ word })));
  if (name === 'namespace') return only(await namespaces(backend));
  return { candidates: [], takesFiles: true };
};

const argumentValues = async (
  command: Command,
  position: number,
  backend: BackendOptions,
  words: readonly string[],
): Promise<Completion> => {
  const children = command.commands.filter(
    ({ _hidden }: Command & { _hidden?: boolean }) => !_hidden,
  );
  if (children.length > 0) {
    return only(
      children.map((child) => ({ word: child.name(), description: child.description() })),
    );
  }
  const argument = command.registeredArguments[position];
  if (!argument) return { candidates: [], takesFiles: false };
  if (argument.argChoices) return only(argument.argChoices.map((word) => ({ word })));
  return namesFor(argument, backend, words);
};

const kinds = ['mdep', 'cnode', 'mdrev'];

const namesFor = async (
  argument: Argument,
  options: BackendOptions,
  words: readonly string[],
): Promise<Completion> => {
  switch (argument.name()) {
    case 'deployment':
      return only(await named(options, 'mdep'));
    case 'node':
      return only(await named(options, 'cnode'));
    case 'kind':
      return only(kinds.map((word) => ({ word })));
    case 'name':
      return only(await named(options, words.at(-2) ?? ''));
    default:
      return { candidates: [], takesFiles: true };
  }
};

const named = async (
  options: BackendOptions,
  kindText: string,
): Promise<Completion['candidates']> => {
  const { kind } = kindAndName(kindText);
  const backend = await openBackend(options);
  const namespace = options.namespace ?? backend.defaultNamespace;
  const objects = await findObjects(backend, kind, { namespace });
  return objects.map(({ metadata }) => ({ word: metadata.name }));
};

const namespaces = async (options: BackendOptions): Promise<Completion['candidates']> => {
  const backend: Backend = await openBackend(options);
  const all = (await backend.deployments(undefined)).map(
    ({ metadata }) => metadata.namespace ?? '',
  );
  return [...new Set(all)].toSorted().map((word) => ({ word }));
};
