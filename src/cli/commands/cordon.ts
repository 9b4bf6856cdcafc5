import { Command } from 'commander';
import type { ClusterNodeSpec } from '../../resources/types.ts';
import { runEdit, withEditOptions } from '../edit/run-edit.ts';
import type { EditOptions } from '../edit/run-edit.ts';
import { drainTaintKey } from '../fleet/node-table.ts';
import { openBackend } from '../backend/choose.ts';
import { bareName } from '../objects.ts';

const nodeCommand = (
  command: Command,
  { done, change }: { done: string; change: (spec: ClusterNodeSpec) => ClusterNodeSpec },
): Command =>
  withEditOptions(command.argument('<node>', 'name of the ClusterNode, or cnode/<name>')).action(
    async (name: string, options: EditOptions) => {
      const backend = await openBackend(options);
      await runEdit(
        backend,
        { kind: 'ClusterNode', name: bareName(name), change },
        { options, done },
      );
    },
  );

export const cordonCommand = (): Command =>
  nodeCommand(
    new Command('cordon')
      .description('Keep new ranks away from a node; what runs there stays')
      .addHelpText('after', '\nExample:\n  espalier cordon mini-2'),
    { done: 'cordoned', change: (spec) => ({ ...spec, unschedulable: true }) },
  );

export const uncordonCommand = (): Command =>
  nodeCommand(
    new Command('uncordon')
      .description('Let a node take ranks again, after cordon or drain')
      .addHelpText('after', '\nExample:\n  espalier uncordon mini-2'),
    { done: 'uncordoned', change: uncordoned },
  );

const uncordoned = ({ taints, ...spec }: ClusterNodeSpec): ClusterNodeSpec => {
  const kept = taints.filter(({ key }) => key !== drainTaintKey);
  // Without taints the field goes from the YAML, where a drain put it.
  return {
    ...spec,
    unschedulable: false,
    ...(kept.length > 0 ? { taints: kept } : {}),
  } as ClusterNodeSpec;
};
