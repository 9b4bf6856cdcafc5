import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import { newKubeConfig } from './kubeconfig-library.ts';

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
  const { name } = config.getCurrentUser()!;
  const fields = unsupported.get(name);
  if (fields === undefined) return config;
  throw invalid(
    `the user ${name} in ${where} has ${fields}, which Espalier does not support; use credentials that have those rights themselves`,
    where,
  );
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

/** Fields by user. */
type Unsupported = Map<string, string>;

/** What decides who one is, and what the library passes over in silence: the request would go out as somebody else. */
const impersonation = ['as-groups', 'as-uid', 'as-user-extra'];

const load = (config: KubeConfig, file: string, unsupported: Unsupported): void => {
  config.loadFromFile(file);
  const { users } = (parse(readFileSync(file, 'utf8')) ?? {}) as {
    users?: { name: string; user?: Record<string, unknown> | null }[];
  };
  for (const [index, { name, ...rest }] of (users ?? []).entries()) {
    const user = rest.user ?? {};
    const ignored = impersonation.filter((field) => user[field] !== undefined);
    if (ignored.length > 0) unsupported.set(name, ignored.join(', '));
    // kubectl's name for it; the library knows another one.
    const { tokenFile } = user;
    if (typeof tokenFile !== 'string') continue;
    const provider = { tokenFile: resolve(dirname(file), tokenFile) };
    const known = config.users[index]!;
    config.users[index] = { ...known, authProvider: { name: 'tokenFile', config: provider } };
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
