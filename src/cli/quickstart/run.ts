import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { readModelProfile } from '../../catalogue/model-folder.ts';
import type { ModelDeployment } from '../../resources/types.ts';
import { formatBytes } from '../../base/quantity.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { note, print } from '../output.ts';
import { packageRoot } from '../package-root.ts';
import { stopSignal } from '../../base/stop-signal.ts';
import { ask } from './ask.ts';
import type { Answer } from './ask.ts';
import { awaitReady } from './await-ready.ts';
import { processesIn } from './leftovers.ts';
import { createProgress } from './progress.ts';
import type { Progress } from './progress.ts';
import { askSingleRank } from './reference.ts';
import { rankFacts, settledRankFacts } from './rank-facts.ts';
import { startServices } from './services.ts';
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
  // A terminal that closes must not leave all of it behind.
  const interrupted = stopSignal(['SIGINT', 'SIGTERM', 'SIGHUP']).then((signal): never => {
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
    const left = await processesIn(workspace);
    if (left.length === 0) progress.done('stopped; nothing is left running');
    else {
      note(`still running, end them with kill -9: ${left.join(' ')}`);
      process.exitCode = exitCodes.failure;
    }
    if (options.once) await rm(workspace, { recursive: true, force: true });
  }
};

interface Stage {
  workspace: string;
  supervisor: Supervisor;
  progress: Progress;
}

const serve = async (options: QuickstartOptions, stage: Stage): Promise<void> => {
  const { progress, workspace, supervisor } = stage;
  const startedMs = performance.now();
  const { hubUrl, services, desired } = await startServices({
    workspace,
    supervisor,
    usualPorts: !options.once,
  });
  progress.done(`started ${services.join(', ')}`);
  const deployment = await awaitReady({
    ...stage,
    ...desired.metadata,
    stateDirectory: join(workspace, 'state'),
    hubUrl,
    services,
    timeoutMs: readyTimeoutMs,
  });
  const readySeconds = (performance.now() - startedMs) / 1000;
  const { name } = desired.metadata;
  progress.done(
    `${name} is Ready after ${readySeconds.toFixed(1)} s: ${deployment.status.plan?.explanation}`,
  );
  for (const { rank, node, pid, shardBytes } of await rankFacts(hubUrl, deployment)) {
    progress.done(`rank ${rank} on ${node}: pid ${pid}, ${formatBytes(shardBytes)} of weights`);
  }
  const answer = await askAloud(options, deployment);
  progress.done(`${answer.tokens} tokens at ${answer.decodeTokensPerSecond} tokens/s`);
  if (options.once) await prove(options, stage, { hubUrl, deployment, answer });
  else invite(deployment, options.prompt);
};

/** Asks through the router; on a terminal the text appears as it is generated. */
const askAloud = async (
  { json, prompt }: QuickstartOptions,
  deployment: ModelDeployment,
): Promise<Answer> => {
  if (!json) process.stdout.write(`\n${prompt}`);
  const answer = await ask({
    baseUrl: deployment.status.endpoint?.url ?? '',
    model: modelName(deployment),
    prompt,
    maxTokens,
    timeoutMs: answerTimeoutMs,
    ...(json ? {} : { onText: (text: string) => void process.stdout.write(text) }),
  });
  if (!json) process.stdout.write('\n\n');
  return answer;
};

/** Asks one rank the same, and prints what was seen. Throws when the two answers differ. */
const prove = async (
  options: QuickstartOptions,
  { progress }: Stage,
  seen: { hubUrl: string; deployment: ModelDeployment; answer: Answer },
): Promise<void> => {
  const { deployment, answer } = seen;
  const { model, runtime } = deployment.spec;
  progress.doing('asking one rank that holds the whole model');
  const { layers } = await readModelProfile(model.uri);
  const single = await askSingleRank({
    modelUri: model.uri,
    layers: layers.length,
    contextLength: runtime.contextLength,
    prompt: options.prompt,
    maxTokens,
    timeoutMs: answerTimeoutMs,
  });
  const identicalToSingleRank =
    single.completion === answer.completion && single.tokens === answer.tokens;
  progress.done(`identical to a single rank: ${identicalToSingleRank}`);
  const { ranks, allReduces } = await settledRankFacts(seen.hubUrl, deployment);
  const result = {
    ready: true,
    deployment: `${deployment.metadata.namespace}/${deployment.metadata.name}`,
    plan: deployment.status.plan,
    ranks,
    prompt: options.prompt,
    ...answer,
    allReduces,
    identicalToSingleRank,
  };
  if (options.json) print(JSON.stringify(result));
  if (!identicalToSingleRank) {
    throw new CommandFailure(exitCodes.failure, 'two ranks and one rank gave different tokens');
  }
};

const invite = (deployment: ModelDeployment, prompt: string): void => {
  const body = JSON.stringify({
    model: modelName(deployment),
    prompt,
    max_tokens: 40,
    temperature: 0.7,
  });
  note(`
It stays up until Ctrl-C. In another terminal:
  curl -s ${deployment.status.endpoint?.url}/completions -H 'content-type: application/json' -d '${body}'
  npm run espalier -- get mdep
  npm run espalier -- describe mdep ${deployment.metadata.name}
Edit examples/quickstart/*.yaml, kill a rank, kill -9 a daemon: it comes back to what the YAML says.`);
};

const modelName = ({ metadata, spec }: ModelDeployment): string =>
  spec.model.servedNames[0] ?? metadata.name;
