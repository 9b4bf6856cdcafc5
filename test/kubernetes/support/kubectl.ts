import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { kubeTestPath, olderKubectlPath } from '../../../scripts/setup/kube-test.ts';
import { root } from '../../../scripts/setup/step.ts';
import { eventually } from '../../support/eventually.ts';
import type { ApiServer } from './api-server.ts';

const commandTimeoutMs = 120_000;

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface KubectlOptions {
  /** Of kubectl, if not the server's own: one of `olderKubectls()`. */
  version?: string;
  /** Its standard input. */
  input?: string;
  /** If not the administrator's. */
  kubeconfigPath?: string;
  env?: Record<string, string>;
}

/** Runs to the end, or is killed after two minutes; a signal is code -1. */
export const runCommand = async (
  program: string,
  args: string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<CommandResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...env },
      timeout: commandTimeoutMs,
      killSignal: 'SIGKILL',
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });

/** How it is run; each version keeps its own idea of what the server can do. */
const commandOf = (
  server: ApiServer,
  { version, kubeconfigPath = server.kubeconfigPath }: KubectlOptions,
): { program: string; first: string[]; env: Record<string, string> } => ({
  program: version === undefined ? kubeTestPath() : olderKubectlPath(version),
  first: version === undefined ? ['kubectl'] : [],
  env: { KUBECONFIG: kubeconfigPath, HOME: join(server.folder, `home-${version ?? 'own'}`) },
});

/** Paths in `args` are relative to the repository. */
export const kubectl = async (
  server: ApiServer,
  args: string[],
  options: KubectlOptions = {},
): Promise<CommandResult> => {
  const { input, env = {} } = options;
  const command = commandOf(server, options);
  return runCommand(command.program, [...command.first, ...args], {
    ...(input !== undefined && { input }),
    env: { ...command.env, ...env },
  });
};

/** As `kubectl`, for what must work: its standard output. */
export const kubectlOk = async (
  server: ApiServer,
  args: string[],
  options: KubectlOptions = {},
): Promise<string> => {
  const { code, stdout, stderr } = await kubectl(server, args, options);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: exit ${code}\n${stderr}${stdout}`);
  return stdout;
};

/** The CRDs of crds/, or of another version's, and served: a client that starts now finds every kind. */
export const installCRDs = async (server: ApiServer, crds = 'crds'): Promise<void> => {
  await kubectlOk(server, ['apply', '--server-side', '-f', crds]);
  await kubectlOk(server, ['wait', '--for=condition=Established', '--timeout=60s', '-f', crds]);
  // Established comes before the paths answer.
  for (const resource of ['modeldeployments', 'clusternodes', 'modeldeploymentrevisions']) {
    await eventually(`${resource} are served`, async () => {
      const { status } = await server.request('GET', `/apis/espalier.dev/v1alpha1/${resource}`);
      return status === 200;
    });
  }
};
