import { Agent, ProxyAgent, Socks5ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';
import { systemClock } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { EspalierError } from '../../base/errors.ts';
import { brokenConnection } from './connection-error.ts';
import { createCredentialCache } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import { loadKubeConfig } from './kubeconfig.ts';
import type { KubeConfigSource } from './kubeconfig.ts';

export interface ApiRequest {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With its query, without the server: /apis/espalier.dev/v1alpha1/… */
  path: string;
  contentType?: string;
  /** Sent as JSON. */
  body?: unknown;
  /** Every request has a deadline, and this is it. Aborting it also ends the body. */
  signal: AbortSignal;
}

export interface ApiResponse {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** To be read to its end, or left with the signal aborted: until then it holds a connection. */
  body: AsyncIterable<Uint8Array>;
}

/**
 * One exchange with an API server, no retries. Any status resolves. Rejects with ApiUnreachable, whose fact
 * `isSent` is false when the server cannot have seen the request; with ApiUnauthorized when there are no
 * credentials to be had; with the reason of the signal when that aborted.
 */
export type Transport = (request: ApiRequest) => Promise<ApiResponse>;

/** Whoever opens it must close it. */
export interface ApiConnection {
  transport: Transport;
  /** Origin and path prefix, without credentials: for logs and metrics. */
  server: string;
  /** Of the context, or of the service account; undefined if it has none. */
  namespace: string | undefined;
  /** Ends every request, watches too, and closes the sockets. */
  close: () => Promise<void>;
}

const connectTimeoutMs = 10_000;
const headersTimeoutMs = 60_000;
/** A quiet watch sends a bookmark a minute; the reflector's watchdog is earlier than this, other bodies are short. */
const bodyTimeoutMs = 180_000;
/** As client-go: before load balancers forget a quiet connection (60 s and more). */
const keepAliveInitialDelayMs = 30_000;
const maxConnections = 64;

/**
 * The connection to the API server of a kubeconfig or of this pod. Credentials that the server refuses (401) are
 * read anew and tried once more: a 401 has changed nothing, so that this holds for every method.
 * Throws KubeconfigInvalid.
 */
export const createApiConnection = (
  source: KubeConfigSource & { clock?: Clock; userAgent?: string },
): ApiConnection => {
  const config = loadKubeConfig(source);
  const server = serverOf(config.getCurrentCluster()!);
  const credentials = createCredentialCache(source, config, source.clock ?? systemClock);
  const pools = createPools();
  const userAgent = source.userAgent ?? 'espalier';

  const transport: Transport = async (request) => {
    const known = await credentials.current();
    const response = await exchange(pools, server, known, userAgent, request);
    if (response.status !== 401) return response;
    const renewed = await credentials.renew(known);
    if (renewed === known) return response;
    for await (const _ of response.body);
    return exchange(pools, server, renewed, userAgent, request);
  };
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace;
  return { transport, server: server.href.replace(/\/$/, ''), namespace, close: pools.close };
};

const serverOf = (cluster: { server: string; skipTLSVerify: boolean }): URL => {
  const server = new URL(cluster.server);
  if (server.protocol === 'https:' || cluster.skipTLSVerify) return server;
  const message = `expected an https server, found ${cluster.server}; plain http sends the token in the clear, and is only used with insecure-skip-tls-verify: true`;
  throw new EspalierError('KubeconfigInvalid', message, { server: cluster.server });
};

const exchange = async (
  pools: Pools,
  server: URL,
  credentials: Credentials,
  userAgent: string,
  request: ApiRequest,
): Promise<ApiResponse> => {
  request.signal.throwIfAborted();
  const { method, contentType = 'application/json', body, signal } = request;
  const where = `${method} ${server.origin}${request.path.split('?')[0]}`;
  try {
    const response = await pools.of(credentials).request({
      origin: server.origin,
      path: server.pathname.replace(/\/$/, '') + request.path,
      method,
      headers: {
        accept: 'application/json',
        'user-agent': userAgent,
        ...(body === undefined ? {} : { 'content-type': contentType }),
        ...credentials.headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    });
    return {
      status: response.statusCode,
      headers: flatHeaders(response.headers),
      body: readOrExplain(response.body, where, signal),
    };
  } catch (error) {
    throw signal.aborted ? signal.reason : brokenConnection(error, where);
  }
};

const flatHeaders = (headers: Record<string, string | string[] | undefined>) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value ?? ''].flat().join(', ')]),
  );

async function* readOrExplain(
  body: AsyncIterable<Uint8Array>,
  where: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw signal.aborted ? signal.reason : brokenConnection(error, where);
  }
}

interface Pools {
  of: (credentials: Credentials) => Dispatcher;
  close: () => Promise<void>;
}

/** One pool per TLS identity; when a certificate is rotated, the old pool ends with its last request. */
const createPools = (): Pools => {
  let current: { tlsIdentity: string; dispatcher: Dispatcher } | undefined;
  const open = new Set<Dispatcher>();
  const retire = (dispatcher: Dispatcher): void => {
    void dispatcher.close().then(() => open.delete(dispatcher));
  };
  return {
    of: (credentials) => {
      if (current?.tlsIdentity === credentials.tlsIdentity) return current.dispatcher;
      if (current) retire(current.dispatcher);
      const dispatcher = createDispatcher(credentials);
      open.add(dispatcher);
      current = { tlsIdentity: credentials.tlsIdentity, dispatcher };
      return dispatcher;
    },
    close: async () => {
      await Promise.all([...open].map((dispatcher) => dispatcher.destroy()));
      open.clear();
    },
  };
};

/** HTTP/1.1 on purpose: one half-open HTTP/2 connection would silence every watch at once. */
const createDispatcher = ({ tls, proxyUrl }: Credentials): Dispatcher => {
  const common = {
    allowH2: false,
    connections: maxConnections,
    headersTimeout: headersTimeoutMs,
    bodyTimeout: bodyTimeoutMs,
  };
  if (proxyUrl?.startsWith('socks')) {
    return new Socks5ProxyAgent(proxyUrl, { ...common, requestTls: tls });
  }
  if (proxyUrl) return new ProxyAgent({ ...common, uri: proxyUrl, requestTls: tls });
  return new Agent({
    ...common,
    connect: {
      ...tls,
      timeout: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveInitialDelayMs,
    },
  });
};
