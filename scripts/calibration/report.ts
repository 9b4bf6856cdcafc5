import { quantities } from './compare.ts';
import type { Comparison } from './compare.ts';
import type { Measurement } from './measurements.ts';
import { groupOf, summarise } from './statistics.ts';
import type { Grouping } from './statistics.ts';

/** Every row of a set, worst first within its quantity. */
export const rowTable = (comparisons: readonly Comparison[]): string =>
  quantities
    .flatMap((quantity) => {
      const rows = comparisons
        .filter((comparison) => comparison.quantity === quantity)
        .toSorted((a, b) => Math.abs(b.error) - Math.abs(a.error));
      if (rows.length === 0) return [];
      return [
        table(
          [quantity, 'measured', 'predicted', 'error'],
          rows.map(({ measurement, measured, predicted, error }) => [
            measurement.id,
            digits(measured),
            digits(predicted),
            percent(error, true),
          ]),
        ),
      ];
    })
    .join('\n');

/** Medians and worst of each group, and of all. */
export const groupTables = (
  comparisons: readonly Comparison[],
  groupings: readonly Grouping[],
): string =>
  quantities
    .flatMap((quantity) => {
      const rows = comparisons.filter((comparison) => comparison.quantity === quantity);
      if (rows.length === 0) return [];
      const lines = groupings.flatMap((grouping) =>
        [...Map.groupBy(rows, (row) => groupOf(row, grouping))]
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([group, members]) => [`${grouping} ${group}`, ...summaryCells(members)]),
      );
      return [
        table(
          [quantity, 'rows', 'median', '90th', 'worst', 'within 30%', 'within 35%'],
          [['all', ...summaryCells(rows)], ...lines],
        ),
      ];
    })
    .join('\n');

/** What could not be compared, by reason. */
export const unusableList = (rows: readonly Measurement[]): string => {
  const byReason = Map.groupBy(rows, ({ unusable }) => unusable ?? '');
  return [...byReason]
    .map(([reason, members]) => `not compared: ${reason}\n${lines(members.map(({ id }) => id))}\n`)
    .join('');
};

export const toJSON = (
  comparisons: readonly Comparison[],
  unusable: readonly Measurement[],
): string =>
  JSON.stringify(
    [
      ...comparisons.map(({ measurement, quantity, measured, predicted, error }) => ({
        id: measurement.id,
        source: measurement.source,
        quantity,
        measured,
        predicted,
        error,
      })),
      ...unusable.map(({ id, source, unusable: reason }) => ({ id, source, unusable: reason })),
    ],
    undefined,
    2,
  );

const summaryCells = (comparisons: readonly Comparison[]): string[] => {
  const { count, median, ninetieth, worst, within30, within35 } = summarise(comparisons);
  return [String(count), ...[median, ninetieth, worst, within30, within35].map((x) => percent(x))];
};

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string => {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return `${[head, ...rows].map(line).join('\n')}\n`;
};

const lines = (ids: readonly string[]): string => ids.map((id) => `  ${id}`).join('\n');
const percent = (share: number, isSigned = false): string =>
  `${isSigned && share > 0 ? '+' : ''}${(100 * share).toFixed(1)}%`;
const digits = (value: number): string => String(Number(value.toPrecision(4)));
