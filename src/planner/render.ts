import { formatBytes } from '../base/quantity.ts';
import { shapeLabel } from './shapes.ts';
import type { Plan, PlanResult } from './types.ts';

/** What `espalier plan` prints: the winner rank by rank, then everything that was rejected and by what numbers. */
export const renderPlan = (result: PlanResult): string => {
  const sections = result.ok
    ? [winner(result.plan), table(rankRows(result.plan)), result.plan.explanation]
    : [
        `No plan: ${result.reason}${result.terminal ? ' (the deployment must change)' : ''}`,
        result.message,
      ];
  const { rejected } = result.ok ? result.plan : result;
  if (rejected.length > 0) {
    const rows = rejected.map(({ option, reason, message }) => [option, reason, message]);
    sections.push(`Rejected:\n${table([['OPTION', 'REASON', 'WHY'], ...rows])}`);
  }
  return `${sections.join('\n\n')}\n`;
};

const winner = (plan: Plan): string => {
  const degraded = plan.degradedBy.length > 0 ? `, degraded by ${plan.degradedBy.join(', ')}` : '';
  const mode = plan.interconnectMode === 'None' ? '' : ` over ${plan.interconnectMode}`;
  return `Plan: ${shapeLabel(plan)}${mode}, engine ${plan.engine}${degraded}`;
};

const rankRows = (plan: Plan): string[][] => [
  ['RANK', 'NODE', 'LAYERS', 'THREADS', 'WEIGHTS', 'KV CACHE', 'WORKSPACE', 'TOTAL'],
  ...plan.ranks.map(({ rank, nodeName, firstLayer, endLayer, threads, memory }) => [
    String(rank),
    nodeName,
    `${firstLayer}-${endLayer - 1}`,
    String(threads),
    formatBytes(memory.shardedWeightsBytes + memory.replicatedWeightsBytes),
    formatBytes(memory.kvCacheBytes),
    formatBytes(memory.workspaceBytes),
    formatBytes(memory.totalBytes),
  ]),
];

/** Columns padded to their widest cell, but for the last. */
const table = (rows: readonly string[][]): string => {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(column === row.length - 1 ? 0 : (widths[column] ?? 0)))
        .join('  '),
    )
    .join('\n');
};
