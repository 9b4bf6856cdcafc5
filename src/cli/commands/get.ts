import { Command } from 'commander';
import { loadSchemas } from '../../resources/schemas.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import { kindAndName } from '../kinds.ts';
import { findObjects } from '../objects.ts';
import type { AnyObject } from '../objects.ts';
import { note, outputOption, print, printValue, table } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { printerCell } from '../printer-columns.ts';

interface GetOptions extends BackendOptions {
  allNamespaces: boolean;
  output: OutputFormat;
}

export const getCommand = (): Command =>
  withBackendOptions(
    new Command('get')
      .description('List resources, or show one, with the columns that kubectl would print')
      .argument('<kind>', 'mdep, cnode or mdrev, or <kind>/<name>')
      .argument('[name]')
      .option('-A, --all-namespaces', 'every namespace', false)
      .addOption(outputOption())
      .addHelpText(
        'after',
        `
Examples:
  espalier get mdep                    every deployment of the namespace
  espalier get mdep sprout -o yaml     spec and status of one
  espalier get cnode -o wide           the machines`,
      )
      .action(async (kind: string, name: string | undefined, options: GetOptions) =>
        get(kind, name, options),
      ),
  );

const get = async (
  kindText: string,
  nameText: string | undefined,
  options: GetOptions,
): Promise<void> => {
  const { kind, name } = kindAndName(kindText, nameText);
  const backend = await openBackend(options);
  const namespace = namespaceOf(backend, options);
  const objects = await findObjects(backend, kind, {
    namespace: options.allNamespaces ? undefined : namespace,
    ...(name === undefined ? {} : { name }),
  });
  if (options.output === 'json' || options.output === 'yaml') {
    const [only] = objects;
    const value =
      name !== undefined && only !== undefined
        ? only
        : { apiVersion: 'v1', kind: 'List', items: objects };
    printValue(value, options.output);
  } else if (objects.length === 0) {
    const where =
      kind === 'ClusterNode' || options.allNamespaces ? '' : ` in namespace "${namespace}"`;
    note(`No ${kind} found${where}.`);
  } else {
    print(objectTable(kind, objects, options));
  }
  for (const problem of await backend.problems()) {
    note(`warning: ${problem.file}:${problem.line}: ${problem.message}`);
  }
};

const objectTable = (kind: string, objects: readonly AnyObject[], options: GetOptions): string => {
  const columns = loadSchemas()
    .printerColumns(kind)
    .filter((column) => options.output === 'wide' || (column.priority ?? 0) === 0);
  const now = new Date();
  const withNamespace = options.allNamespaces && kind !== 'ClusterNode';
  return table(
    [...(withNamespace ? ['Namespace'] : []), 'Name', ...columns.map(({ name }) => name)],
    objects.map((object) => [
      ...(withNamespace ? [object.metadata.namespace ?? ''] : []),
      object.metadata.name,
      ...columns.map((column) => printerCell(column, object, now)),
    ]),
  );
};
