import { BlockList, isIP } from 'node:net';
import { EspalierError } from '../../base/errors.ts';

type Environment = Record<string, string | undefined>;

const schemes = ['http:', 'https:', 'socks5:'];

/**
 * Through which proxy the server is reached, if through any, as client-go decides it: the cluster's `proxy-url`, else
 * HTTPS_PROXY (HTTP_PROXY for a plain server) unless NO_PROXY or loopback speak against it (golang.org/x/net,
 * http/httpproxy). Throws KubeconfigInvalid for a proxy of another kind; the message has no password in it.
 */
export const proxyFor = (
  server: URL,
  proxyUrl: string | undefined,
  environment: Environment,
): string | undefined => {
  if (proxyUrl) return checked(proxyUrl, 'proxy-url of the cluster');
  const name = server.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const wanted = read(environment, name);
  if (!wanted || !isProxied(server, read(environment, 'NO_PROXY') ?? '')) return undefined;
  return checked(wanted.includes('://') ? wanted : `http://${wanted}`, name);
};

const read = (environment: Environment, name: string): string | undefined =>
  environment[name] ?? environment[name.toLowerCase()];

const checked = (text: string, where: string): string => {
  const scheme = URL.canParse(text) ? new URL(text).protocol : '';
  if (schemes.includes(scheme)) return text;
  const found = scheme === '' ? 'no URL' : scheme.slice(0, -1);
  const message = `expected a proxy of http, https or socks5 in ${where}, found ${found}`;
  throw new EspalierError('KubeconfigInvalid', message, { where });
};

const isProxied = (server: URL, noProxy: string): boolean => {
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || isIn(host, '127.0.0.0/8') || isIn(host, '::1/128')) return false;
  const port = server.port || (server.protocol === 'https:' ? '443' : '80');
  return !noProxy
    .toLowerCase()
    .split(',')
    .map((entry) => entry.trim())
    .some((entry) => entry !== '' && matches(entry, host, port));
};

/** `*`, an address, a range, a domain with all below it, or `.domain` for only what is below; perhaps with a port. */
const matches = (entry: string, host: string, port: string): boolean => {
  if (entry === '*') return true;
  if (entry.includes('/')) return isIn(host, entry);
  const [, name = entry, entryPort] =
    isIP(entry) > 0 ? [] : (/^\[?(.*?)\]?(?::(\d+))?$/.exec(entry) ?? []);
  if (entryPort !== undefined && entryPort !== port) return false;
  if (isIP(name) > 0 || isIP(host) > 0) return name === host;
  const below = name.replace(/^\*?\.?/, '.');
  return host.endsWith(below) || (name === below.slice(1) && name === host);
};

const isIn = (host: string, range: string): boolean => {
  const [network = '', prefix = ''] = range.split('/');
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || !/^\d{1,3}$/.test(prefix)) return false;
  if (Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(network, Number(prefix), type);
  return list.check(host, type);
};
