import { createRequire, registerHooks } from 'node:module';
import type { KubeConfig } from '@kubernetes/client-node';

/**
 * The library's KubeConfig, empty. Loaded only when somebody connects, because most commands need none of it; and
 * without the typed API of every kind that Kubernetes has, which is 40 MB and 0.8 s of processor time for a method
 * (makeApiClient) that nobody calls here: our client has its own requests.
 */
export const newKubeConfig = (): KubeConfig => new (library ??= load()).KubeConfig();

interface ConfigModule {
  KubeConfig: new () => KubeConfig;
}

let library: ConfigModule | undefined;

const load = (): ConfigModule => {
  const require = createRequire(import.meta.url);
  const hooks = registerHooks({
    load: (url, context, nextLoad) => (url.endsWith(typedApi) ? emptyApi : nextLoad(url, context)),
  });
  try {
    return require('@kubernetes/client-node/dist/config.js') as ConfigModule;
  } finally {
    hooks.deregister();
  }
};

const typedApi = '/@kubernetes/client-node/dist/gen/index.js';

/** What dist/config.js imports from it by name. */
const emptyApi = {
  format: 'module',
  source: 'export const createConfiguration = undefined, ServerConfiguration = undefined;',
  shortCircuit: true,
};
