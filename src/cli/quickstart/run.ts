import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readModelProfile } from '../../catalogue/model-folder.ts';
import type { DesiredModelDeployment } from '../../resources/documents.ts';
import { validateFiles } from '../../resources/read-files.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { note, print } from '../output.ts';
import { packageRoot } from '../package-root.ts';
import { stopSignal } from '../signals.ts';
import { ask } from './ask.ts';
import { awaitReady } from './await-ready.ts';
import { freePort } from './ports.ts';
import { createProgress } from './progress.ts';
import type { Progress } from './progress.ts';
import { askSingleRank } from './reference.ts';
import { rankFacts } from './rank-facts.ts';
import { Supervisor } from './supervisor.ts';

export interface QuickstartOptions {
  once: boolean;
  json: boolean;
  prompt: string;
}

const maxTokens = 48;
const readyTimeoutMs = 120_000;
const answerTimeoutMs = 60_000;
const stopGraceMs = 20_000;

/** The main job end to end, on one host: see docs/quickstart.md. */
export const runQuickstart = async (options: QuickstartOptions): Promise<void> => {
  const progress = createProgress(process.stderr);
  const workspace = options.once
    ? await mkdtemp(join(tmpdir(), 'espalier-quickstart-'))
    : resolve('.espalier');
  process.chdir(packageRoot());
  const supervisor = new Supervisor({
    logDirectory: join(workspace, 'logs'),
    workingDirectory: packageRoot(),
  });
  const interrupted = stopSignal().then((signal): never => {
    throw new CommandFailure(signal === 'SIGINT' ? 130 : 143, '');
  });
  interrupted.catch(() => undefined);
  try {
    await Promise.race([interrupted, serve(options, { workspace, supervisor, progress })]);
    if (!options.once) await interrupted;
  } catch (error) {
    if (!(error instanceof CommandFailure && error.message === '' && !options.once)) throw error;
  } finally {
    progress.doing('stopping ranks, daemons and control plane');
    await supervisor.stop(stopGraceMs);
    if (options.once) await rm(workspace, { recursive: true, force: true });
    progress.done('stopped; nothing is left running');
  }
};

interface Stage {
  workspace: string;
  supervisor: Supervisor;
  progress: Progress;
}

const serve = async (options: QuickstartOptions, stage: Stage): Promise<void> => {
  const { progress, workspace } = stage;
  const startedMs = performance.now();
  const { hubUrl, services, spec } = await startServices(options, stage);
  progress.done(`started ${services.join(', ')}`);
  const deployment = await awaitReady({
    ...stage,
    stateDirectory: join(workspace, 'state'),
    namespace: spec.metadata.namespace,
    name: spec.metadata.name,
    services,
    timeoutMs: readyTimeoutMs,
  });
  const readySeconds = (performance.now() - startedMs) / 1000;
  const { plan } = deployment.status;
  progress.done(
    `${spec.metadata.name} is Ready after ${readySeconds.toFixed(1)} s: ${plan?.explanation}`,
  );
  const ranks = await rankFacts(hubUrl, deployment);
  for (const { rank, node, pid, shardBytes, residentBytes } of ranks) {
    progress.done(
      `rank ${rank} on ${node}: pid ${pid}, ${shardBytes} B of weights, ${residentBytes} B resident`,
    );
  }
  const baseUrl = deployment.status.endpoint?.url ?? '';
  const question = {
    model: spec.spec.model.servedNames[0] ?? spec.metadata.name,
    prompt: options.prompt,
    maxTokens,
    timeoutMs: answerTimeoutMs,
  };
  if (!options.json) print(`\n${options.prompt}`.trimEnd());
  const answer = await ask({
    baseUrl,
    ...question,
    ...(options.json ? {} : { onText: (text: string) => void process.stdout.write(text) }),
  });
  if (!options.json) print('\n');
  progress.done(`${answer.tokens} tokens at ${answer.decodeTokensPerSecond} tokens/s`);
  if (!options.once) return invite(baseUrl, question.model, options.prompt);

  progress.doing('asking one rank that holds the whole model');
  const { layers } = await readModelProfile(spec.spec.model.uri);
  const single = await askSingleRank({
    ...question,
    modelUri: spec.spec.model.uri,
    layers,
    contextLength: spec.spec.runtime.contextLength,
  });
  const identicalToSingleRank = single.completion === answer.completion;
  progress.done(`identical to a single rank: ${identicalToSingleRank}`);
  const settled = await rankFacts(hubUrl, deployment);
  if (options.json) {
    print(
      JSON.stringify({
        ready: true,
        deployment: `${spec.metadata.namespace}/${spec.metadata.name}`,
        plan,
        ranks: settled.map(({ allReduces: _, ...rank }) => rank),
        prompt: options.prompt,
        completion: answer.completion,
        tokens: answer.tokens,
        decodeTokensPerSecond: answer.decodeTokensPerSecond,
        allReduces: Math.max(...settled.map(({ allReduces }) => allReduces)),
        identicalToSingleRank,
      }),
    );
  }
  if (!identicalToSingleRank) {
    throw new CommandFailure(exitCodes.failure, 'two ranks and one rank gave different tokens');
  }
};

const startServices = async (
  options: QuickstartOptions,
  { workspace, supervisor }: Stage,
): Promise<{
  hubUrl: string;
  services: string[];
  spec: DesiredModelDeployment;
}> => {
  const directory = join(packageRoot(), 'examples', 'quickstart');
  const { objects } = validateFiles([directory]);
  const spec = objects.find((object) => object.kind === 'ModelDeployment');
  if (!spec) throw new CommandFailure(exitCodes.invalidInput, `no ModelDeployment in ${directory}`);
  const hubPort = await freePort(options.once ? undefined : 7480);
  const routerPort = await freePort(options.once ? undefined : 8080);
  const hubUrl = `http://127.0.0.1:${hubPort}`;
  supervisor.start({
    name: 'control-plane',
    args: [
      ...['up', '--directory', directory, '--state-dir', join(workspace, 'state')],
      ...['--hub-port', String(hubPort), '--router-port', String(routerPort)],
    ],
  });
  const nodes = objects
    .filter(({ kind }) => kind === 'ClusterNode')
    .map(({ metadata }) => metadata.name);
  for (const name of nodes) {
    const dataDirectory = join(workspace, 'nodes', name);
    supervisor.start({
      name,
      args: ['node', '--name', name, '--hub', hubUrl, '--data-dir', dataDirectory, '--stop-ranks'],
    });
  }
  return { hubUrl, services: ['control-plane', ...nodes], spec };
};

const invite = (baseUrl: string, model: string, prompt: string): void => {
  const body = JSON.stringify({ model, prompt, max_tokens: 40, temperature: 0 });
  note(`
It stays up until Ctrl-C. Try:
  curl -s ${baseUrl}/completions -H 'content-type: application/json' -d '${body}'
  npm run espalier -- get mdep
  npm run espalier -- describe mdep sprout
Edit examples/quickstart/*.yaml, kill a rank, kill -9 a daemon: it comes back to what the YAML says.`);
};
