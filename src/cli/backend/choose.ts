import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import { CommandFailure, exitCodes } from '../exit.ts';
import { isKubectlPlugin } from '../invocation.ts';
import { openDirectoryBackend } from './directory.ts';
import type { Backend } from './backend.ts';

/** What every command that looks at a control plane's objects can be told. */
export interface BackendOptions {
  namespace?: string;
  kubeconfig?: string;
  context?: string;
  stateDir?: string;
}

export type BackendChoice =
  { kind: 'directory'; stateDirectory: string } | { kind: 'kubernetes' } | { kind: 'unknown' };

/** What the choice depends on beside the options. */
export interface Surroundings {
  /** Called as `kubectl espalier`. */
  isPlugin: boolean;
  /** ESPALIER_STATE_DIR. */
  stateDirectory: string | undefined;
  /** A control plane has run with .espalier/state. */
  hasUsualState: boolean;
  hasKubeConfig: boolean;
}

const usualStateDirectory = '.espalier/state';

/** For `--help` of every command that has these options. */
const backendHelp = `
Where to look: --kubeconfig or --context name an API server, --state-dir the state directory of "espalier up".
Without them "kubectl espalier" takes kubectl's current context; "espalier" takes ESPALIER_STATE_DIR, then
${usualStateDirectory} if it is here, then kubectl's current context.`;

export const withBackendOptions = (command: Command): Command =>
  command
    .option('-n, --namespace <namespace>', "namespace (default: the context's, or default)")
    .addOption(new Option('--kubeconfig <file>', 'kubeconfig file, as kubectl has it'))
    .addOption(new Option('--context <name>', 'context of the kubeconfig'))
    .addOption(
      new Option('--state-dir <directory>', 'state directory of "espalier up"').conflicts([
        'kubeconfig',
        'context',
      ]),
    )
    .addHelpText('after', backendHelp);

/** The one place that decides between a state directory and an API server. */
export const chooseBackend = (options: BackendOptions, around: Surroundings): BackendChoice => {
  if (options.stateDir !== undefined) {
    return { kind: 'directory', stateDirectory: options.stateDir };
  }
  const isNamed = options.kubeconfig !== undefined || options.context !== undefined;
  if (isNamed || around.isPlugin) return { kind: 'kubernetes' };
  if (around.stateDirectory !== undefined) {
    return { kind: 'directory', stateDirectory: around.stateDirectory };
  }
  if (around.hasUsualState) return { kind: 'directory', stateDirectory: usualStateDirectory };
  return around.hasKubeConfig ? { kind: 'kubernetes' } : { kind: 'unknown' };
};

/** Opens what the options and the surroundings say. Throws CommandFailure when they say nothing. */
export const openBackend = async (options: BackendOptions): Promise<Backend> => {
  const choice = chooseBackend(options, surroundings());
  if (choice.kind === 'directory') return openDirectoryBackend(choice.stateDirectory);
  if (choice.kind === 'unknown') {
    throw new CommandFailure(
      exitCodes.usage,
      `no control plane to ask: there is no ${usualStateDirectory} here and no kubeconfig; name one with --state-dir, --kubeconfig or --context`,
    );
  }
  // The client takes as long to load as all the rest.
  const { openKubernetesBackend } = await import('./kubernetes.ts');
  return openKubernetesBackend(options);
};

const surroundings = (): Surroundings => {
  const { env } = process;
  return {
    isPlugin: isKubectlPlugin,
    stateDirectory: env['ESPALIER_STATE_DIR'] || undefined,
    hasUsualState: existsSync(join(usualStateDirectory, 'epoch.json')),
    hasKubeConfig: Boolean(env['KUBECONFIG']) || existsSync(join(homedir(), '.kube', 'config')),
  };
};

/** The namespace that a command is for. */
export const namespaceOf = (backend: Backend, { namespace }: BackendOptions): string =>
  namespace ?? backend.defaultNamespace;
