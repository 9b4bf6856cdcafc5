import type { FleetResult } from './measure.ts';

const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
const milliseconds = (value: number): string => `${value.toFixed(0)} ms`;

/** One line per number. */
export const table = (result: FleetResult): string => {
  const rows: [string, string][] = [
    ['nodes, deployments', `${result.nodes}, ${result.deployments}`],
    ['first start to all Ready', `${result.firstReadySeconds.toFixed(1)} s`],
    ...Object.entries(result.changes).map(
      ([what, { count, p50Ms, p99Ms, maxMs }]): [string, string] => [
        `${what} to new document (${count})`,
        `p50 ${milliseconds(p50Ms)}, p99 ${milliseconds(p99Ms)}, max ${milliseconds(maxMs)}`,
      ],
    ),
    ['processor time per change', milliseconds(result.processorMsPerChange)],
    ['operator resident, at most', mebibytes(result.residentBytes)],
    ['operator heap in use, at most', mebibytes(result.heapBytes)],
    ['writes per idle minute', `${result.idle.writesPerMinute}`],
    ['... by the leader Lease', `${result.idle.leaseWritesPerMinute}`],
    ['processor share when idle', `${(result.idle.processorShare * 100).toFixed(0)} %`],
    ['restart to /readyz', `${result.restart.readySeconds.toFixed(1)} s`],
    ['restart to every node answered', `${result.restart.answeredSeconds.toFixed(1)} s`],
    ['documents changed by it', `${result.restart.changedDocuments}`],
    ['writes by it, Leases aside', `${result.restart.writes}`],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return `${rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n')}\n`;
};
