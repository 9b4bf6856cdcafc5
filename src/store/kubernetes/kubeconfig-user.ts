import { dirname, resolve } from 'node:path';
import type { Cluster, User } from '@kubernetes/client-node';

/** A user as the file has it. */
export type RawUser = Record<string, unknown>;

interface Exec {
  apiVersion?: string;
  command?: string;
  env?: { name: string; value: string }[] | null;
  provideClusterInfo?: boolean;
  interactiveMode?: string;
}

/** What decides who one is, and what the library passes over in silence: the request would go out as somebody else. */
const impersonation = ['as-groups', 'as-uid', 'as-user-extra'];

/** What is in the way of using these credentials, as the end of a sentence; undefined when nothing is. */
export const unsupportedIn = (user: RawUser): string | undefined => {
  const ignored = impersonation.filter((field) => user[field] !== undefined);
  if (ignored.length > 0) {
    return `has ${ignored.join(', ')}, which Espalier does not support; use credentials that have those rights themselves`;
  }
  // An OpenID provider may give each refresh token once, and nothing here could write the next one into the file.
  const provider = user['auth-provider'] as { name?: unknown } | undefined;
  if (provider) {
    return `has an auth-provider (${String(provider.name)}), which Espalier does not support; use an exec plugin, as kubectl wants it for most of them, too`;
  }
  const { interactiveMode } = (user['exec'] ?? {}) as Exec;
  if (interactiveMode !== 'Always') return undefined;
  return 'has an exec plugin that needs somebody at a terminal (interactiveMode: Always); use credentials that need nobody';
};

/** As kubectl reads it where the library reads it otherwise: tokenFile, and a plugin beside the kubeconfig. */
export const asKubectlReads = (known: User, raw: RawUser, file: string): User => {
  const { tokenFile, exec } = raw as { tokenFile?: unknown; exec?: Exec };
  if (typeof tokenFile === 'string') {
    const config = { tokenFile: resolve(dirname(file), tokenFile) };
    return { ...known, authProvider: { name: 'tokenFile', config } };
  }
  if (!exec?.command?.includes('/')) return known;
  return { ...known, exec: { ...exec, command: resolve(dirname(file), exec.command) } };
};

/** Tells the plugin what client-go tells it, in KUBERNETES_EXEC_INFO: nobody to ask, and the cluster if it wants that. */
export const withExecInfo = (user: User, cluster: Cluster): User => {
  const exec = user.exec as Exec | null | undefined;
  if (!exec) return user;
  const info = {
    apiVersion: exec.apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo ? { cluster: clusterInfo(cluster) } : {}),
    },
  };
  const name = 'KUBERNETES_EXEC_INFO';
  const others = (exec.env ?? []).filter((each) => each.name !== name);
  return { ...user, exec: { ...exec, env: [...others, { name, value: JSON.stringify(info) }] } };
};

const clusterInfo = (cluster: Cluster): object => ({
  server: cluster.server,
  ...(cluster.tlsServerName ? { 'tls-server-name': cluster.tlsServerName } : {}),
  ...(cluster.skipTLSVerify ? { 'insecure-skip-tls-verify': true } : {}),
  ...(cluster.caData ? { 'certificate-authority-data': cluster.caData } : {}),
  ...(cluster.proxyUrl ? { 'proxy-url': cluster.proxyUrl } : {}),
  config: null,
});
