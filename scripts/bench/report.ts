import type { Bandwidth } from './bandwidth.ts';
import type { DeploymentMeasure } from './control-plane.ts';
import type { Decoding } from './decoding.ts';
import type { GroupShape } from './rank-group.ts';
import { formatSample, sampleOf } from './sample.ts';
import type { Sample } from './sample.ts';

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  system: string;
  node: string;
}

/** Every single measurement, in the order in which it was taken. */
export interface Measurements {
  date: string;
  machine: Machine;
  rounds: number;
  /** Mean number of runnable processes over the minute before, and over the last minute. */
  loadAverage: { before: number; after: number };
  bandwidths: ({ threads: number } & Bandwidth)[];
  decodings: Decoding[];
  operatorIdleBytes: number;
  deployments: ({ model: string } & DeploymentMeasure)[];
}

/** Weights below this lie in the processor's caches, so that memory's bandwidth says nothing about them. */
const cachedBytes = 64 * 2 ** 20;

/** Other processes had less than this of all cores' time. */
const undisturbedPercent = 5;

/** The tables of docs/benchmarks.md. */
export const report = (measured: Measurements): string =>
  [
    machineLines(measured),
    decodingTable(measured),
    bandwidthTable(measured),
    readyTable(measured),
  ].join('\n\n');

const machineLines = ({ date, machine, rounds, loadAverage, decodings }: Measurements): string => {
  return [
    `${machine.cpu}, ${machine.cores} cores, ${gibibytes(machine.memoryBytes)}, ${machine.system}, ` +
      `Node ${machine.node}; ${date}; ${rounds} rounds; median (range).`,
    `Load average ${loadAverage.before.toFixed(2)} before, ${loadAverage.after.toFixed(2)} after. ` +
      `While decoding, other processes used ${percentages(decodings.map((each) => each.othersPercent))} ` +
      `of all cores' time, and ${percentages(decodings.map((each) => each.stolenPercent))} was stolen.`,
  ].join('\n');
};

const percentages = (values: (number | null)[]): string => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? 'not known' : `${formatSample(sampleOf(known), 0)} %`;
};

const decodingTable = ({ decodings }: Measurements): string =>
  markdown(
    ['model', 'ranks × threads', 'link', 'tok/s', 'tok/s, undisturbed', 'share of read', 'of copy'],
    distinct(decodings.map(({ model, shape }) => JSON.stringify([model, shape]))).map((key) => {
      const [model, shape] = JSON.parse(key) as [string, GroupShape];
      const rows = decodings.filter((each) => JSON.stringify([each.model, each.shape]) === key);
      const of = (field: 'shareOfRead' | 'shareOfCopy') => sampleOf(rows.map((row) => row[field]));
      return [
        model,
        `${shape.ranks} × ${shape.threads}`,
        shape.ranks === 1 ? '–' : shape.link,
        speed(rows),
        speed(rows.filter(({ othersPercent }) => (othersPercent ?? 100) < undisturbedPercent)),
        ...(rows[0]!.weightBytes < cachedBytes
          ? ['cached', 'cached']
          : [percent(of('shareOfRead')), percent(of('shareOfCopy'))]),
      ];
    }),
  );

const speed = (rows: readonly Decoding[]): string => {
  if (rows.length === 0) return '–';
  const sample = sampleOf(rows.map(({ tokensPerSecond }) => tokensPerSecond));
  return formatSample(sample, sample.median < 100 ? 1 : 0);
};

const bandwidthTable = ({ bandwidths }: Measurements): string =>
  markdown(
    ['threads', 'read GB/s', 'copy GB/s (read + written)'],
    distinct(bandwidths.map(({ threads }) => threads)).map((threads) => {
      const rows = bandwidths.filter((each) => each.threads === threads);
      return [
        String(threads),
        formatSample(sampleOf(rows.map(({ read }) => read))),
        formatSample(sampleOf(rows.map(({ copy }) => copy))),
      ];
    }),
  );

const readyTable = ({ deployments, operatorIdleBytes }: Measurements): string =>
  markdown(
    ['two ranks of', 'apply to Ready, s', 'operator MiB', 'daemon MiB', 'rank MiB'],
    [
      ['nothing yet', '–', mebibytes([operatorIdleBytes]), '–', '–'],
      ...distinct(deployments.map(({ model }) => model)).map((model) => {
        const rows = deployments.filter((each) => each.model === model);
        return [
          model,
          formatSample(sampleOf(rows.map(({ readySeconds }) => readySeconds)), 2),
          mebibytes(rows.map(({ operatorBytes }) => operatorBytes)),
          mebibytes(rows.flatMap(({ daemonBytes }) => daemonBytes)),
          mebibytes(rows.flatMap(({ rankBytes }) => rankBytes)),
        ];
      }),
    ],
  );

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];

const percent = ({ median, minimum, maximum }: Sample): string =>
  `${formatSample({ median: median * 100, minimum: minimum * 100, maximum: maximum * 100 }, 0)} %`;

const mebibytes = (bytes: readonly number[]): string =>
  formatSample(sampleOf(bytes.map((each) => each / 2 ** 20)), 0);

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(0)} GiB`;

const markdown = (headings: readonly string[], rows: readonly (readonly string[])[]): string => {
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length)),
  );
  const print = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  return [
    print(headings),
    print(widths.map((width) => '-'.repeat(width))),
    ...rows.map(print),
  ].join('\n');
};
