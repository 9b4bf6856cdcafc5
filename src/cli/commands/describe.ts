import { Command } from 'commander';
import { stringify } from 'yaml';
import type { Condition } from '../../resources/types.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import { eventRows } from './events.ts';
import { kindAndName } from '../kinds.ts';
import { findObjects } from '../objects.ts';
import type { AnyObject } from '../objects.ts';
import { age, print, table } from '../output.ts';
import { CommandFailure, exitCodes } from '../exit.ts';

export const describeCommand = (): Command =>
  withBackendOptions(
    new Command('describe')
      .description('Everything known of one resource: spec, conditions, plan, groups, events')
      .argument('<kind>', 'mdep, cnode or mdrev, or <kind>/<name>')
      .argument('[name]')
      .addHelpText('after', '\nExample:\n  espalier describe mdep sprout')
      .action(async (kind: string, name: string | undefined, options: BackendOptions) =>
        describe(kind, name, options),
      ),
  );

const describe = async (
  kindText: string,
  nameText: string | undefined,
  options: BackendOptions,
): Promise<void> => {
  const { kind, name } = kindAndName(kindText, nameText);
  if (name === undefined) {
    throw new CommandFailure(exitCodes.usage, `describe ${kind} needs a name`);
  }
  const backend = await openBackend(options);
  const namespace = namespaceOf(backend, options);
  const objects = await findObjects(backend, kind, { namespace, name });
  for (const object of objects) print(describeObject(object));
  const events = (await backend.events(kind === 'ClusterNode' ? undefined : namespace)).filter(
    ({ regarding }) => regarding.kind === kind && regarding.name === name,
  );
  print(events.length === 0 ? 'Events: none' : `Events:\n${indent(eventRows(events))}`);
};

const describeObject = (object: AnyObject): string => {
  const { metadata } = object;
  const head = [
    `Name:       ${metadata.name}`,
    ...(metadata.namespace === undefined ? [] : [`Namespace:  ${metadata.namespace}`]),
    `Kind:       ${object.kind}`,
    `Generation: ${metadata.generation}`,
    `Created:    ${metadata.creationTimestamp}`,
    ...(metadata.deletionTimestamp === undefined
      ? []
      : [`Deleting since: ${metadata.deletionTimestamp}`]),
  ];
  if (!('spec' in object)) return [...head, section('Data', object.data)].join('\n');
  const { conditions, ...status } = object.status;
  return [
    ...head,
    section('Spec', object.spec),
    `Conditions:\n${indent(conditionTable(conditions))}`,
    section('Status', status),
  ].join('\n');
};

const section = (title: string, value: unknown): string =>
  `${title}:\n${indent(stringify(value).trimEnd())}`;

const conditionTable = (conditions: readonly Condition[]): string =>
  table(
    ['Type', 'Status', 'Reason', 'Age', 'Message'],
    conditions.map((condition) => [
      condition.type,
      condition.status,
      condition.reason,
      age(condition.lastTransitionTime, new Date()),
      condition.message,
    ]),
  );

const indent = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
