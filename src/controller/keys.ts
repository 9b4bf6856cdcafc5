import type { ObjectKey } from './ports.ts';

/** One line of text for a key, as the work queue and the logs use it: "ModelDeployment/default/sprout". */
export const keyText = ({ kind, namespace, name }: ObjectKey): string =>
  `${kind}/${namespace ?? ''}/${name}`;

export const parseKey = (text: string): ObjectKey => {
  const [kind, namespace, name] = text.split('/');
  if (kind === 'ClusterNode') return { kind, name: name ?? '' };
  return { kind: 'ModelDeployment', namespace: namespace ?? '', name: name ?? '' };
};

export const deploymentKey = (meta: { namespace?: string; name: string }): ObjectKey => ({
  kind: 'ModelDeployment',
  namespace: meta.namespace ?? 'default',
  name: meta.name,
});

export const nodeKey = (name: string): ObjectKey => ({ kind: 'ClusterNode', name });

export const sameKey = (left: ObjectKey, right: ObjectKey): boolean =>
  keyText(left) === keyText(right);
