import { Command } from 'commander';
import type { StoredEvent } from '../../controller/ports.ts';
import { openReadOnly } from '../../store/directory/read-only.ts';
import { kindAndName } from '../kinds.ts';
import { stateDirectoryOption } from '../options.ts';
import { age, note, outputOption, print, printValue, table } from '../output.ts';
import type { OutputFormat } from '../output.ts';

export const eventsCommand = (): Command =>
  new Command('events')
    .description('What happened, oldest first, equal events counted')
    .option('--for <kind/name>', 'only events of this object, for instance mdep/sprout')
    .addOption(outputOption(['table', 'json', 'yaml']))
    .addOption(stateDirectoryOption())
    .addHelpText('after', '\nExamples:\n  espalier events\n  espalier events --for mdep/sprout')
    .action((options: { for?: string; output: OutputFormat; stateDir: string }) => {
      const events = openReadOnly(options.stateDir)
        .events()
        .filter((event) => options.for === undefined || isFor(event, options.for))
        .toSorted((left, right) => (left.lastTimestamp < right.lastTimestamp ? -1 : 1));
      if (options.output === 'json' || options.output === 'yaml') {
        printValue(events, options.output);
      } else if (events.length === 0) note('No events.');
      else print(eventRows(events));
    });

export const eventRows = (events: readonly StoredEvent[]): string =>
  table(
    ['Last seen', 'Count', 'Type', 'Reason', 'Object', 'Message'],
    events.map((event) => [
      age(event.lastTimestamp, new Date()),
      String(event.count),
      event.type,
      event.reason,
      `${event.regarding.kind}/${event.regarding.name}`,
      event.message,
    ]),
  );

const isFor = (event: StoredEvent, target: string): boolean => {
  const [kindText = '', name] = target.split('/');
  const { kind } = kindAndName(kindText, name);
  return event.regarding.kind === kind && (name === undefined || event.regarding.name === name);
};
