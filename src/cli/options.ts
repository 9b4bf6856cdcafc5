import { InvalidArgumentError, Option } from 'commander';

/** The control plane's state directory, shared by `up` and every command that looks at it. */
export const stateDirectoryOption = () =>
  new Option('--state-dir <directory>', 'state directory of the control plane')
    .env('ESPALIER_STATE_DIR')
    .default('.espalier/state');

export const namespaceOption = () =>
  new Option('-n, --namespace <namespace>', 'namespace of the deployment').default('default');

export const portOption = (flags: string, description: string, standard: number) =>
  new Option(flags, description).default(standard).argParser((text: string) => {
    const port = Number(text);
    if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
    throw new InvalidArgumentError('a port is a whole number from 0 to 65535');
  });

/** Facts about machines that are newer than this release, or the user's own; see docs/planner.md. */
export const catalogueOption = () =>
  new Option(
    '--catalogue <file>',
    'YAML with more machines, chips, links or engines; may be given several times',
  )
    .default([])
    .argParser(collect);

/** For options that may be given several times. */
export const collect = (value: string, earlier: string[]): string[] => [...earlier, value];
