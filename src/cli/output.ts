import { InvalidArgumentError, Option } from 'commander';
import { stringify } from 'yaml';

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml';

/** `-o table|wide|json|yaml`, the same for every command that prints resources. */
export const outputOption = (
  formats: readonly OutputFormat[] = ['table', 'wide', 'json', 'yaml'],
) =>
  new Option('-o, --output <format>', formats.join(' | '))
    .default('table')
    .argParser((value: string) => {
      const format = formats.find((name) => name === value);
      if (format === undefined) throw new InvalidArgumentError(`one of ${formats.join(', ')}`);
      return format;
    });

export const print = (text: string): void => {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
};

export const note = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

/** One value as JSON or YAML. */
export const printValue = (value: unknown, format: 'json' | 'yaml'): void =>
  print(format === 'json' ? JSON.stringify(value, null, 2) : stringify(value));

/** Columns aligned with two spaces between, headings in capitals, as kubectl prints them. */
export const table = (
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): string => {
  const lines = [headings.map((heading) => heading.toUpperCase()), ...rows];
  const widths = headings.map((_, column) =>
    Math.max(...lines.map((line) => (line[column] ?? '').length)),
  );
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
};

/** Age as kubectl prints it: "12s", "5m", "3h", "2d". */
export const age = (since: string, now: Date): string => {
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
};
