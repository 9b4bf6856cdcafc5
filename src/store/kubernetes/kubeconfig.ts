import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import { newKubeConfig } from './kubeconfig-library.ts';
import { asKubectlReads, unsupportedIn, withExecInfo } from './kubeconfig-user.ts';
import type { RawUser } from './kubeconfig-user.ts';

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
  const config = newKubeConfig();
  const unsupported: Unsupported = new Map();
  const where = read(config, source, unsupported);
  if (source.context !== undefined) config.setCurrentContext(source.context);
  const context = config.getCurrentContext();
  if (!config.getContextObject(context)) {
    const names = config.getContexts().map(({ name }) => name);
    const found = names.length > 0 ? `found ${names.join(', ')}` : 'found no context';
    throw invalid(
      context
        ? `expected the context "${context}" in ${where}, ${found}; name one with --context`
        : `${where} has no current context, ${found}; name one with --context`,
      where,
    );
  }
  if (!config.getCurrentCluster() || !config.getCurrentUser()) {
    throw invalid(
      `the context ${context} in ${where} names a cluster or a user that is not there`,
      where,
    );
  }
  const cluster = config.getCurrentCluster()!;
  const user = config.getCurrentUser()!;
  const why = unsupported.get(user.name);
  if (why !== undefined) throw invalid(`the user ${user.name} in ${where} ${why}`, where);
  config.users = config.users.map((each) => (each === user ? withExecInfo(user, cluster) : each));
  return config;
};

const read = (
  config: KubeConfig,
  { kubeconfig }: KubeConfigSource,
  unsupported: Unsupported,
): string => {
  const file = kubeconfig ?? process.env['KUBECONFIG'];
  if (file) return readFile(config, file, unsupported);
  if (process.env['KUBERNETES_SERVICE_HOST'] && existsSync(serviceAccountToken)) {
    config.loadFromCluster();
    return 'the service account of this pod';
  }
  const home = join(homedir(), '.kube', 'config');
  if (existsSync(home)) return readFile(config, home, unsupported);
  throw invalid(
    `expected a kubeconfig in --kubeconfig, $KUBECONFIG or ${home}, or a pod with a service account; found none`,
    home,
  );
};

/** Why a user cannot be used, by name. */
type Unsupported = Map<string, string>;

const load = (config: KubeConfig, file: string, unsupported: Unsupported): void => {
  config.loadFromFile(file);
  const { users } = (parse(readFileSync(file, 'utf8')) ?? {}) as {
    users?: { name: string; user?: RawUser | null }[];
  };
  for (const [index, { name, ...rest }] of (users ?? []).entries()) {
    const user = rest.user ?? {};
    const why = unsupportedIn(user);
    if (why !== undefined) unsupported.set(name, why);
    config.users[index] = asKubectlReads(config.users[index]!, user, file);
  }
};

/** Several files, joined by colons, are merged as kubectl merges them: the first to name something wins. */
const readFile = (config: KubeConfig, path: string, unsupported: Unsupported): string => {
  try {
    for (const [index, file] of path.split(':').filter(Boolean).entries()) {
      if (index === 0) load(config, file, unsupported);
      else merge(config, file, unsupported);
    }
  } catch (error) {
    throw invalid(`cannot read the kubeconfig ${path}: ${withoutContent(error)}`, path);
  }
  return path;
};

const merge = (config: KubeConfig, file: string, unsupported: Unsupported): void => {
  const other = newKubeConfig();
  load(other, file, unsupported);
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
