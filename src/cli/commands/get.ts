import { Command } from 'commander';
import { loadSchemas } from '../../resources/schemas.ts';
import { openReadOnly } from '../../store/directory/read-only.ts';
import { kindAndName } from '../kinds.ts';
import { findObjects } from '../objects.ts';
import type { AnyObject } from '../objects.ts';
import { namespaceOption, stateDirectoryOption } from '../options.ts';
import { note, outputOption, print, printValue, table } from '../output.ts';
import type { OutputFormat } from '../output.ts';
import { printerCell } from '../printer-columns.ts';

interface GetOptions {
  namespace: string;
  allNamespaces: boolean;
  output: OutputFormat;
  stateDir: string;
}

export const getCommand = (): Command =>
  new Command('get')
    .description('List resources, or show one, with the columns that kubectl would print')
    .argument('<kind>', 'mdep, cnode or mdrev, or <kind>/<name>')
    .argument('[name]')
    .addOption(namespaceOption())
    .option('-A, --all-namespaces', 'every namespace', false)
    .addOption(outputOption())
    .addOption(stateDirectoryOption())
    .addHelpText(
      'after',
      `
Examples:
  espalier get mdep                    every deployment of namespace "default"
  espalier get mdep sprout -o yaml     spec and status of one
  espalier get cnode -o wide           the machines`,
    )
    .action((kind: string, name: string | undefined, options: GetOptions) =>
      get(kind, name, options),
    );

const get = (kindText: string, nameText: string | undefined, options: GetOptions): void => {
  const { kind, name } = kindAndName(kindText, nameText);
  const view = openReadOnly(options.stateDir);
  const objects = findObjects(view, kind, {
    namespace: options.namespace,
    allNamespaces: options.allNamespaces,
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
    note(
      `No ${kind} found${kind === 'ClusterNode' ? '' : ` in namespace "${options.namespace}"`}.`,
    );
  } else {
    print(objectTable(kind, objects, options));
  }
  for (const problem of view.problems()) {
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
