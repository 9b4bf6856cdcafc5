import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { createLogger } from '../../base/logger.ts';
import { packageRoot } from '../package-root.ts';

interface NodeOptions {
  name: string;
  hub: string;
  dataDir?: string;
  stopRanks: boolean;
}

export const nodeCommand = (): Command =>
  new Command('node')
    .description('Run the node daemon: follow the hub, run this node’s ranks, report what is seen')
    .option('--name <name>', 'name of the ClusterNode', hostname().split('.')[0]?.toLowerCase())
    .option('--hub <url>', 'address of the hub', 'http://127.0.0.1:7480')
    .option(
      '--data-dir <directory>',
      'documents, run records and logs (default: .espalier/nodes/<name>)',
    )
    .option('--stop-ranks', 'on SIGTERM or Ctrl-C end the ranks too', false)
    .addHelpText(
      'after',
      `
Without --stop-ranks, ranks outlive the daemon: the next one adopts them untouched, so upgrading the daemon
restarts nothing. With the hub gone the node keeps serving.

Examples:
  espalier node --name mini-1
  espalier node --name mini-1 --hub http://127.0.0.1:7480 --data-dir /var/lib/espalier`,
    )
    .action(async (options: NodeOptions) => {
      const { thisHost } = await import('../../daemon/host/this-host.ts');
      const { runNode } = await import('../../daemon/run-node.ts');
      const { createBuiltInEngine } = await import('../../engines/builtin/engine.ts');
      const host = thisHost();
      const facts = await host.facts();
      const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
        version: string;
      };
      await runNode({
        nodeName: options.name,
        hubUrl: options.hub,
        dataDirectory: options.dataDir ?? join('.espalier', 'nodes', options.name),
        engines: [createBuiltInEngine({ hostAddress: facts.address, hostID: facts.hostID })],
        logger: createLogger({ name: 'espalier-node' }),
        daemonVersion: version,
        stopRanks: options.stopRanks,
      });
    });
