import { Command } from 'commander';
import { nodeEntries, nodeTable } from '../fleet/node-table.ts';
import { openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import { note, outputOption, print, printValue } from '../output.ts';
import type { OutputFormat } from '../output.ts';

export const nodesCommand = (): Command =>
  withBackendOptions(
    new Command('nodes')
      .description('The machines: present or lost, memory planned and free, links, ranks')
      .addOption(outputOption())
      .addHelpText(
        'after',
        `
MEMORY is what plans hold of what ranks may use. RANKS are NAMESPACE/DEPLOYMENT/GROUP/RANK, with their state unless
it is Ready.

Examples:
  espalier nodes
  espalier nodes -o wide`,
      )
      .action(async (options: BackendOptions & { output: OutputFormat }) => {
        const backend = await openBackend(options);
        const [nodes, deployments] = await Promise.all([
          backend.nodes(),
          backend.deployments(undefined),
        ]);
        const entries = nodeEntries(nodes, deployments);
        const { output } = options;
        if (output === 'json' || output === 'yaml') printValue(entries, output);
        else if (entries.length === 0) note('No ClusterNode is declared.');
        else print(nodeTable(entries, new Date(), output === 'wide'));
      }),
  );
