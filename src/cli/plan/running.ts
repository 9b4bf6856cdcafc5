import type { ModelDeployment } from '../../resources/types.ts';
import { formatBytes } from '../../base/quantity.ts';
import { table } from '../output.ts';

/** The plan that runs, from status: nothing is worked out anew. */
export const renderRunning = ({ metadata, status }: ModelDeployment): string => {
  const { name, namespace = 'default' } = metadata;
  const { plan, groups } = status;
  const title = `ModelDeployment ${namespace}/${name}, as it runs`;
  const ranks = groups.flatMap(({ index, members }) =>
    members.map(({ rank, nodeName, layers, memoryBytes, state }) => [
      String(index),
      String(rank),
      nodeName,
      layers,
      formatBytes(memoryBytes),
      state,
    ]),
  );
  if (!plan || ranks.length === 0) return `${title}: not yet\n`;
  const rows = table(['group', 'rank', 'node', 'layers', 'memory', 'state'], ranks);
  const predicted = plan.predicted?.decodeTokensPerSecond;
  const observed = status.observed?.decodeTokensPerSecond;
  const speed = [
    ...(predicted === undefined ? [] : [`predicted ${predicted} tokens/s`]),
    ...(Number(observed ?? 0) === 0 ? [] : [`measured ${observed} tokens/s`]),
  ].join(', ');
  return `${[title, rows, plan.explanation, speed].filter((part) => part !== '').join('\n\n')}\n`;
};
