import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import type { Clock } from '../../src/base/clock.ts';
import { createLogger } from '../../src/base/logger.ts';
import { seededRandom } from '../../src/base/random.ts';
import { createApiClient } from '../../src/store/kubernetes/client.ts';
import type { ApiClient } from '../../src/store/kubernetes/client.ts';
import type { ApiObject } from '../../src/store/kubernetes/objects.ts';
import { createReflector } from '../../src/store/kubernetes/reflector.ts';
import type { Reflector, ReflectorTiming } from '../../src/store/kubernetes/reflector.ts';
import { createApiConnection } from '../../src/store/kubernetes/transport.ts';
import { FaultProxy } from './proxy.ts';
import type { FaultRates } from './proxy-faults.ts';
import type { ApiServer } from './support/api-server.ts';

export interface ConfigMap extends ApiObject {
  data?: Record<string, string>;
}

export const configMaps = { group: '', version: 'v1', plural: 'configmaps', isNamespaced: true };

/** Real time, so many times faster: timeouts and backoffs of minutes pass in seconds. */
export const fasterClock = (times: number): Clock => ({
  monotonicMs: () => systemClock.monotonicMs() * times,
  now: () => systemClock.now(),
  after: (delayMs, callback) => systemClock.after(delayMs / times, callback),
});

/** What `name` holds, by name: enough to tell two states of a namespace apart. */
export const textOf = (items: readonly ConfigMap[]): string[] =>
  items
    .map(({ metadata, data }) => `${metadata.name} ${metadata.uid} ${JSON.stringify(data)}`)
    .toSorted();

export interface Rig {
  proxy: FaultProxy;
  /** Through the proxy. */
  client: ApiClient;
  reflector: Reflector<ConfigMap>;
  /** The cache as it would be if built from `onChange` alone. */
  heard: Map<string, ConfigMap>;
  close(): Promise<void>;
}

/** A reflector on the ConfigMaps of a namespace, behind a proxy of its own. */
export const createRig = async (
  server: ApiServer,
  options: {
    namespace: string;
    seed: number;
    rates?: FaultRates;
    clock: Clock;
    timing?: Partial<ReflectorTiming>;
  },
): Promise<Rig> => {
  const { namespace, seed, clock, rates, timing } = options;
  const { url, certificateAuthority } = server;
  const behind = { url, certificateAuthority, seed };
  const proxy = await FaultProxy.start({ ...behind, ...(rates ? { rates } : {}) });
  const folder = mkdtempSync(join(tmpdir(), 'espalier-proxy-'));
  const kubeconfig = join(folder, 'config');
  writeFileSync(kubeconfig, proxy.kubeconfig(server.adminToken), { mode: 0o600 });
  const connection = createApiConnection({ kubeconfig, clock });
  const random = seededRandom(seed);
  const client = createApiClient({ transport: connection.transport, clock, random });
  const heard = new Map<string, ConfigMap>();
  const reflector = createReflector<ConfigMap>({
    client,
    resource: configMaps,
    namespace,
    clock,
    random,
    logger: createLogger({ name: 'test', level: 'silent' }),
    onChange: (key, { after }) => {
      if (after) heard.set(key, after);
      else heard.delete(key);
    },
    ...(timing ? { timing } : {}),
  });
  return {
    proxy,
    client,
    reflector,
    heard,
    close: async () => {
      await reflector.stop();
      await connection.close();
      await proxy.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
};

/** A client without anything in between. */
export const directClient = (
  server: ApiServer,
): { client: ApiClient; close: () => Promise<void> } => {
  const { transport, close } = createApiConnection({ kubeconfig: server.kubeconfigPath });
  const random = seededRandom(0);
  return { client: createApiClient({ transport, clock: systemClock, random }), close };
};

export const configMap = (namespace: string, name: string, value: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace },
  data: { value },
});
