import { Command } from 'commander';
import type { StoredEvent } from '../../controller/ports.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import { kindAndName } from '../kinds.ts';
import { age, note, outputOption, print, printValue, table } from '../output.ts';
import type { OutputFormat } from '../output.ts';

interface EventsOptions extends BackendOptions {
  for?: string;
  allNamespaces: boolean;
  output: OutputFormat;
}

export const eventsCommand = (): Command =>
  withBackendOptions(
    new Command('events')
      .description('What happened, oldest first, equal events counted')
      .option('--for <kind/name>', 'only events of this object, for instance mdep/sprout')
      .option('-A, --all-namespaces', 'every namespace', false)
      .addOption(outputOption(['table', 'json', 'yaml']))
      .addHelpText('after', '\nExamples:\n  espalier events\n  espalier events --for mdep/sprout')
      .action(async (options: EventsOptions) => {
        const backend = await openBackend(options);
        const namespace = options.allNamespaces ? undefined : namespaceOf(backend, options);
        const events = (await backend.events(namespace)).filter(
          (event) => options.for === undefined || isFor(event, options.for),
        );
        if (options.output === 'json' || options.output === 'yaml') {
          printValue(events, options.output);
        } else if (events.length === 0) note('No events.');
        else print(eventRows(events));
      }),
  );

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
