import { BlockList, isIP } from 'node:net';
import { InvalidArgumentError, Option } from 'commander';

/** The control plane's state directory, shared by `up` and every command that looks at it. */
export const stateDirectoryOption = () =>
  new Option('--state-dir <directory>', 'state directory of the control plane')
    .env('ESPALIER_STATE_DIR')
    .default('.espalier/state');

export const portOption = (flags: string, description: string, standard?: number) =>
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

export const secondsOption = (flags: string, description: string, standard: number) =>
  new Option(flags, description).default(standard).argParser((text: string) => {
    const seconds = Number(text.replace(/s$/, ''));
    if (text !== '' && Number.isFinite(seconds) && seconds >= 0 && seconds <= 86_400) {
      return seconds;
    }
    throw new InvalidArgumentError('seconds from 0 to 86400, for instance 300 or 300s');
  });

export const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number from 0 up');
  return Number(text);
};

/** An EndpointSlice takes none of these. */
const unreachable = new BlockList();
unreachable.addSubnet('127.0.0.0', 8);
unreachable.addSubnet('169.254.0.0', 16);
unreachable.addSubnet('0.0.0.0', 8);
unreachable.addAddress('::1', 'ipv6');
unreachable.addAddress('::', 'ipv6');
unreachable.addSubnet('fe80::', 10, 'ipv6');

/** "10.0.0.7:8080" or "[fd00::7]:8080". */
export const reachableAddress = (text: string): { host: string; port: number } => {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^:]+)):(?<port>\d{1,5})$/.exec(text)?.groups;
  const host = match?.['v6'] ?? match?.['v4'] ?? '';
  const port = Number(match?.['port'] ?? 0);
  const family = isIP(host) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(host) > 0 && !unreachable.check(host, family) && port > 0 && port <= 65_535) {
    return { host, port };
  }
  throw new InvalidArgumentError(
    'expected an IP address that other hosts reach and a port, such as 10.0.0.7:8080 or [fd00::7]:8080',
  );
};
