import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { systemClock } from '../../base/clock.ts';
import type { ClusterNodeSpec } from '../../resources/types.ts';
import { runEdit, withEditOptions } from '../edit/run-edit.ts';
import type { EditOptions } from '../edit/run-edit.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { brokenPromises, drainTaint, groupsOn, liveRanks, tolerating } from '../fleet/eviction.ts';
import type { Evicted } from '../fleet/eviction.ts';
import { openBackend } from '../backend/choose.ts';
import type { Backend } from '../backend/backend.ts';
import { programName } from '../invocation.ts';
import { findNode } from '../objects.ts';
import { secondsOption } from '../options.ts';
import { note, print, printValue } from '../output.ts';

interface DrainOptions extends EditOptions {
  timeout: number;
  allowDisruption: boolean;
}

export const drainCommand = (): Command =>
  withEditOptions(
    new Command('drain')
      .description('Cordon a node, move its ranks elsewhere, wait until none runs there')
      .argument('<node>', 'name of the ClusterNode, or cnode/<name>')
      .addOption(secondsOption('--timeout <seconds>', 'longest wait', 600))
      .option(
        '--allow-disruption',
        'go on although a deployment would serve less than it promises meanwhile',
        false,
      )
      .addHelpText(
        'after',
        `
Sets spec.unschedulable and the taint espalier.dev/drain:NoExecute; "uncordon" takes both back. A group is moved as a
whole: it stops, is planned anew without this node, and starts. A deployment promises replicas − maxUnavailable groups,
at least one; a drain that would leave fewer is refused without --allow-disruption. With a second group elsewhere
nothing is interrupted.
Exit code 6: ranks were still there after --timeout; the drain goes on by itself.

Examples:
  espalier drain mini-2
  espalier drain mini-2 --allow-disruption --timeout 120`,
      ),
  ).action(async (name: string, options: DrainOptions) => drain(name, options));

const drain = async (text: string, options: DrainOptions): Promise<void> => {
  const backend = await openBackend(options);
  const node = await findNode(backend, text);
  const { name } = node.metadata;
  const deployments = await backend.deployments(undefined);
  const before = groupsOn(name, deployments);
  const staying = tolerating(node, deployments);
  if (staying.length > 0) {
    throw new CommandFailure(
      exitCodes.refused,
      `${staying.join(', ')} tolerates ${drainTaint.key} and would stay on ${name}; take the toleration out of spec.placement.tolerations`,
    );
  }
  const promises = brokenPromises(name, deployments);
  if (promises.length > 0 && !options.allowDisruption) refuse(name, promises);
  const edit = { kind: 'ClusterNode' as const, name, change: drained };
  const result = await runEdit(backend, edit, { options, done: 'draining', isQuiet: true });
  if (options.dryRun) {
    for (const group of before) note(`would move ${describe(group)}`);
    return;
  }
  await waitUntilEmpty(backend, name, options.timeout);
  await sayWhere(backend, { before, result, options });
};

const drained = (spec: ClusterNodeSpec): ClusterNodeSpec => ({
  ...spec,
  unschedulable: true,
  taints: [...spec.taints.filter(({ key }) => key !== drainTaint.key), drainTaint],
});

const refuse = (name: string, promises: readonly string[]): never => {
  throw new CommandFailure(
    exitCodes.refused,
    `draining ${name} would interrupt what is promised, so nothing was done:\n` +
      promises.map((promise) => `  ${promise}\n`).join('') +
      '  add a replica on other nodes first, or accept it with --allow-disruption',
  );
};

const pollMs = 500;

const waitUntilEmpty = async (
  backend: Backend,
  name: string,
  timeoutSeconds: number,
): Promise<void> => {
  const deadlineMs = systemClock.monotonicMs() + timeoutSeconds * 1000;
  let told = '';
  for (;;) {
    const deployments = await backend.deployments(undefined);
    const node = await findNode(backend, name);
    const left = [
      ...groupsOn(name, deployments).map((group) => `${describe(group)} ${group.state}`),
      ...liveRanks(node).map(({ deployment, group, rank }) => `${deployment}/${group}/${rank}`),
    ].join('; ');
    if (left === '') return;
    if (left !== told) note(`on ${name}: ${left}`);
    told = left;
    if (systemClock.monotonicMs() >= deadlineMs) {
      throw new CommandFailure(
        exitCodes.inProgress,
        `after ${timeoutSeconds} s there is still on ${name}: ${left}; it goes on by itself, "${programName} nodes" shows how far it is`,
      );
    }
    await sleep(pollMs);
  }
};

/** Where the groups are that were there: on other nodes, or waiting for room, and why. */
const sayWhere = async (
  backend: Backend,
  {
    before,
    result,
    options,
  }: { before: readonly Evicted[]; result: object; options: DrainOptions },
): Promise<void> => {
  const deployments = await backend.deployments(undefined);
  const moved = before.map(({ namespace, deployment, group, nodeNames }) => {
    const now = deployments
      .find(({ metadata }) => metadata.namespace === namespace && metadata.name === deployment)
      ?.status.groups.find(({ index }) => index === group);
    return {
      group: `${namespace}/${deployment}/${group}`,
      from: nodeNames,
      to: now?.members.map(({ nodeName }) => nodeName) ?? [],
      state: now?.state ?? 'Removed',
      ...(now?.message === undefined ? {} : { message: now.message }),
    };
  });
  if (options.output !== 'table') {
    printValue({ ...result, moved }, options.output === 'yaml' ? 'yaml' : 'json');
    return;
  }
  for (const { group, from, to, state, message } of moved) {
    const where = to.length === 0 ? 'nowhere yet' : to.join(', ');
    const why = to.length === 0 && message !== undefined ? `: ${message}` : '';
    print(`${group}: ${from.join(', ')} → ${where} (${state}${why})`);
  }
  print('drained: no rank runs there');
};

const describe = ({ namespace, deployment, group }: Evicted): string =>
  `${namespace}/${deployment}/${group}`;
