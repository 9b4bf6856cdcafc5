import type { RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import type { buildConnector } from 'undici';
import { contentHash } from '../../base/canonical-json.ts';
import type { Clock } from '../../base/clock.ts';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import { loadKubeConfig } from './kubeconfig.ts';
import type { KubeConfigSource } from './kubeconfig.ts';
import { proxyFor } from './proxy.ts';

/** What one request needs to be let in. Never logged. */
export interface Credentials {
  headers: Record<string, string>;
  tls: buildConnector.BuildOptions;
  proxyUrl: string | undefined;
  /** Same text, same TLS material: connections may be shared. */
  tlsIdentity: string;
}

export interface CredentialCache {
  current(): Promise<Credentials>;
  /** The server refused what `current` gave: reads files anew and asks the plugin anew, at most every 5 s. */
  renew(refused: Credentials): Promise<Credentials>;
}

/** Files are read and plugins asked for a fresh token this often; a token file of a pod is rotated hourly. */
const freshForMs = 10_000;
const minRenewIntervalMs = 5000;
/** An exec plugin may open a browser, but a control plane has nobody to click in it. */
const pluginDeadlineMs = 30_000;

/**
 * Credentials from a kubeconfig through the library: certificates, tokens, token files, basic and exec.
 * The library builds a connection pool per request if one lets it, and runs the plugin once per concurrent
 * request; so the answer is kept for 10 s and asked for once.
 */
export const createCredentialCache = (
  source: KubeConfigSource,
  loaded: KubeConfig,
  clock: Clock,
): CredentialCache => {
  let config = loaded;
  let kept: { credentials: Promise<Credentials>; atMs: number } | undefined;
  let renewedAtMs = Number.NEGATIVE_INFINITY;

  const readAnew = async (): Promise<Credentials> => {
    const credentials = withDeadline(readCredentials(config), clock);
    const entry = { credentials, atMs: clock.monotonicMs() };
    kept = entry;
    return credentials.catch((error: unknown) => {
      if (kept === entry) kept = undefined;
      throw error;
    });
  };

  return {
    current: async () =>
      kept && clock.monotonicMs() - kept.atMs < freshForMs ? kept.credentials : readAnew(),
    renew: async (refused) => {
      const now = await kept?.credentials;
      if (now && now !== refused) return now;
      if (clock.monotonicMs() - renewedAtMs < minRenewIntervalMs) return refused;
      renewedAtMs = clock.monotonicMs();
      config = loadKubeConfig(source);
      return readAnew();
    },
  };
};

const readCredentials = async (config: KubeConfig): Promise<Credentials> => {
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (error) {
    // The output of a plugin is its secret, and JSON.parse quotes what it cannot read.
    const why = error instanceof SyntaxError ? 'its output is not JSON' : errorMessage(error);
    const { installHint = '' } = (config.getCurrentUser()?.exec ?? {}) as { installHint?: string };
    const hint = why.includes('ENOENT') && installHint ? `; ${installHint.trim()}` : '';
    const message = `cannot get credentials for the API server: ${(why + hint).slice(0, 300)}`;
    throw new EspalierError('ApiUnauthorized', message, {});
  }
  const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
  const tls = Object.fromEntries(
    Object.entries({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }).filter(
      ([, value]) => value !== undefined && value !== null,
    ),
  ) as buildConnector.BuildOptions;
  const cluster = config.getCurrentCluster()!;
  const proxyUrl = proxyFor(new URL(cluster.server), cluster.proxyUrl, process.env);
  return {
    headers: requestHeaders(options),
    tls,
    proxyUrl,
    tlsIdentity: contentHash([asText(tls), proxyUrl]),
  };
};

/** Token files end in a newline, which no header may carry. */
const requestHeaders = ({ headers, auth }: RequestOptions): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [
      name.toLowerCase(),
      String(value).trim(),
    ]),
  ),
  ...(auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {}),
});

const asText = (tls: buildConnector.BuildOptions): unknown =>
  Object.entries(tls).map(([name, value]) => [
    name,
    Buffer.isBuffer(value) ? value.toString('base64') : value,
  ]);

const withDeadline = async (work: Promise<Credentials>, clock: Clock): Promise<Credentials> => {
  const deadline = Promise.withResolvers<never>();
  const message = `the credential plugin did not answer within ${pluginDeadlineMs / 1000} s`;
  const cancel = clock.after(pluginDeadlineMs, () =>
    deadline.reject(new EspalierError('ApiUnauthorized', message)),
  );
  try {
    return await Promise.race([work, deadline.promise]);
  } finally {
    cancel();
  }
};
