import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { EspalierError, errorMessage } from '../../base/errors.ts';

export interface KubeConfigSource {
  /** Path of a kubeconfig. Without it: $KUBECONFIG, then the service account of a pod, then ~/.kube/config. */
  kubeconfig?: string | undefined;
  /** A context of it; its current context otherwise. */
  context?: string | undefined;
}

const serviceAccountToken = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * Reads the configuration and checks that its context names a cluster and a user. Throws KubeconfigInvalid.
 * Unlike the library there is no last resort of http://localhost:8080: that would be somebody else's server.
 */
export const loadKubeConfig = (source: KubeConfigSource): KubeConfig => {
  const config = new KubeConfig();
  const where = read(config, source);
  if (source.context !== undefined) config.setCurrentContext(source.context);
  const context = config.getCurrentContext();
  if (!config.getContextObject(context)) {
    const names = config.getContexts().map(({ name }) => name);
    throw invalid(
      `expected the context ${JSON.stringify(context ?? '')} in ${where}, found ${names.join(', ') || 'none'}; name one with --context`,
      where,
    );
  }
  if (!config.getCurrentCluster() || !config.getCurrentUser()) {
    throw invalid(
      `the context ${context} in ${where} names a cluster or a user that is not there`,
      where,
    );
  }
  return config;
};

const read = (config: KubeConfig, { kubeconfig }: KubeConfigSource): string => {
  const file = kubeconfig ?? process.env['KUBECONFIG'];
  if (file) return readFile(config, file);
  if (process.env['KUBERNETES_SERVICE_HOST'] && existsSync(serviceAccountToken)) {
    config.loadFromCluster();
    return 'the service account of this pod';
  }
  const home = join(homedir(), '.kube', 'config');
  if (existsSync(home)) return readFile(config, home);
  throw invalid(
    `expected a kubeconfig in --kubeconfig, $KUBECONFIG or ${home}, or a pod with a service account; found none`,
    home,
  );
};

/** Several files, joined by colons, are merged as kubectl merges them: the first to name something wins. */
const readFile = (config: KubeConfig, path: string): string => {
  try {
    for (const [index, file] of path.split(':').filter(Boolean).entries()) {
      if (index === 0) config.loadFromFile(file);
      else merge(config, file);
    }
  } catch (error) {
    throw invalid(`cannot read the kubeconfig ${path}: ${withoutContent(error)}`, path);
  }
  return path;
};

const merge = (config: KubeConfig, file: string): void => {
  const other = new KubeConfig();
  other.loadFromFile(file);
  config.clusters.push(...other.clusters.filter(isNew(config.clusters)));
  config.users.push(...other.users.filter(isNew(config.users)));
  config.contexts.push(...other.contexts.filter(isNew(config.contexts)));
  config.currentContext ||= other.currentContext;
};

const isNew = (have: { name: string }[]) => (item: { name: string }) =>
  !have.some(({ name }) => name === item.name);

/** A parser's message quotes the text around the fault, and that text may be a key: its first line names the fault. */
const withoutContent = (error: unknown): string => errorMessage(error).split('\n')[0]!;

const invalid = (message: string, file: string): EspalierError =>
  new EspalierError('KubeconfigInvalid', message, { file });
