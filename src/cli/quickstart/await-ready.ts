import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelDeployment } from '../../resources/types.ts';
import { openReadOnly } from '../../store/directory/read-only.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import type { Progress } from './progress.ts';
import { servingRanks } from './rank-facts.ts';
import type { Supervisor } from './supervisor.ts';

/** Restarts after which a service is not going to come up by itself. */
const restartLimit = 3;

/**
 * Waits until the deployment is Ready and its nodes say so too (a status may be of an earlier quickstart), telling what it is doing meanwhile. Throws CommandFailure with the
 * condition's message when it is Stalled, with the end of the log when a service does not come up, and with
 * the last thing known when `timeoutMs` passes.
 */
export const awaitReady = async (options: {
  stateDirectory: string;
  hubUrl: string;
  namespace: string;
  name: string;
  supervisor: Supervisor;
  services: readonly string[];
  progress: Progress;
  timeoutMs: number;
}): Promise<ModelDeployment> => {
  const deadlineMs = performance.now() + options.timeoutMs;
  let said = '';
  while (performance.now() < deadlineMs) {
    failIfDown(options.supervisor, options.services);
    const deployment = find(options);
    const conditions = deployment?.status.conditions ?? [];
    const condition = (type: string) => conditions.find((each) => each.type === type);
    const stalled = condition('Stalled');
    if (stalled?.status === 'True') {
      throw new CommandFailure(exitCodes.failure, `${stalled.reason}: ${stalled.message}`);
    }
    const ready = condition('Ready');
    if (
      deployment &&
      ready?.status === 'True' &&
      (await everyRankServes(options.hubUrl, deployment))
    ) {
      return deployment;
    }
    const text = ready ? `${ready.reason}: ${ready.message}` : 'waiting for the control plane';
    if (text !== said) options.progress.doing(text);
    said = text;
    await sleep(50);
  }
  throw new CommandFailure(
    exitCodes.failure,
    `${options.namespace}/${options.name} was not Ready within ${options.timeoutMs / 1000} s: ${said}`,
  );
};

const everyRankServes = async (hubUrl: string, deployment: ModelDeployment): Promise<boolean> => {
  const expected = deployment.status.groups.flatMap(({ members }) => members).length;
  return (await servingRanks(hubUrl, deployment).catch(() => 0)) === expected;
};

/** The state directory is not there before the control plane has made it. */
const find = (options: {
  stateDirectory: string;
  namespace: string;
  name: string;
}): ModelDeployment | undefined => {
  try {
    return openReadOnly(options.stateDirectory)
      .deployments()
      .find(
        ({ metadata }) =>
          metadata.name === options.name && metadata.namespace === options.namespace,
      );
  } catch {
    return undefined;
  }
};

const failIfDown = (supervisor: Supervisor, services: readonly string[]): void => {
  const down = services.find((name) => supervisor.restarts(name) > restartLimit);
  if (down === undefined) return;
  const log = readFileSync(supervisor.logPath(down), 'utf8').trimEnd().split('\n').slice(-5);
  throw new CommandFailure(
    exitCodes.failure,
    `${down} does not come up; the end of ${supervisor.logPath(down)}:\n${log.join('\n')}`,
  );
};
