import { join } from 'node:path';
import type { DesiredModelDeployment } from '../../resources/documents.ts';
import { validateFiles } from '../../resources/read-files.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { packageRoot } from '../package-root.ts';
import { freePort } from './ports.ts';
import type { Supervisor } from './supervisor.ts';

/**
 * Starts the control plane over examples/quickstart/ and one daemon per ClusterNode in it. `usualPorts`: the
 * documented ports when they are free, instead of any.
 */
export const startServices = async (options: {
  workspace: string;
  supervisor: Supervisor;
  usualPorts: boolean;
}): Promise<{ hubUrl: string; services: string[]; desired: DesiredModelDeployment }> => {
  const { workspace, supervisor } = options;
  const directory = join(packageRoot(), 'examples', 'quickstart');
  const { objects } = validateFiles([directory]);
  const desired = objects.find((object) => object.kind === 'ModelDeployment');
  if (!desired) {
    throw new CommandFailure(exitCodes.invalidInput, `no valid ModelDeployment in ${directory}`);
  }
  // Before the ports are chosen: leftovers may hold them.
  const state = join(workspace, 'state');
  const nodes = objects.filter(({ kind }) => kind === 'ClusterNode');
  const names = nodes.map(({ metadata }) => metadata.name);
  await supervisor.clear([
    { name: 'control-plane', mark: state },
    ...names.map((name) => ({ name, mark: join(workspace, 'nodes', name) })),
  ]);
  const hubPort = String(await freePort(options.usualPorts ? 7480 : undefined));
  const routerPort = String(await freePort(options.usualPorts ? 8080 : undefined));
  const hubUrl = `http://127.0.0.1:${hubPort}`;
  const up = ['up', '--directory', directory, '--state-dir', state];
  supervisor.start({
    name: 'control-plane',
    args: [...up, '--hub-port', hubPort, '--router-port', routerPort],
  });
  for (const name of names) {
    const node = ['node', '--name', name, '--hub', hubUrl, '--stop-ranks'];
    supervisor.start({ name, args: [...node, '--data-dir', join(workspace, 'nodes', name)] });
  }
  return { hubUrl, services: ['control-plane', ...names], desired };
};
