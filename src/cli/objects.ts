import type { ClusterNode, ModelDeployment, ModelDeploymentRevision } from '../resources/types.ts';
import { notFound } from './backend/edited-object.ts';
import type { Backend, Namespace } from './backend/backend.ts';
import type { KindName } from './kinds.ts';

export type AnyObject = ModelDeployment | ClusterNode | ModelDeploymentRevision;

/** Objects of one kind, sorted by name; all of them, or the named one. Throws CommandFailure (not found). */
export const findObjects = async (
  backend: Backend,
  kind: KindName,
  { namespace, name }: { namespace: Namespace; name?: string },
): Promise<AnyObject[]> => {
  const objects = (await objectsOf(backend, kind, namespace)).toSorted((left, right) =>
    left.metadata.name < right.metadata.name ? -1 : 1,
  );
  if (name === undefined) return objects;
  const found = objects.filter(({ metadata }) => metadata.name === name);
  if (found.length > 0) return found;
  return notFound(kind, name, objects, kind === 'ClusterNode' ? undefined : namespace);
};

const objectsOf = async (
  backend: Backend,
  kind: KindName,
  namespace: Namespace,
): Promise<readonly AnyObject[]> => {
  if (kind === 'ModelDeployment') return backend.deployments(namespace);
  if (kind === 'ClusterNode') return backend.nodes();
  return backend.revisions(namespace);
};

/** The named deployment; "mdep/sprout" is "sprout". Throws CommandFailure (not found). */
export const findDeployment = async (
  backend: Backend,
  text: string,
  namespace: string,
): Promise<ModelDeployment> => {
  const name = bareName(text);
  const all = await backend.deployments(namespace);
  return (
    all.find(({ metadata }) => metadata.name === name) ??
    notFound('ModelDeployment', name, all, namespace)
  );
};

/** The named node; "cnode/mini-1" is "mini-1". Throws CommandFailure (not found). */
export const findNode = async (backend: Backend, text: string): Promise<ClusterNode> => {
  const name = bareName(text);
  const all = await backend.nodes();
  return all.find(({ metadata }) => metadata.name === name) ?? notFound('ClusterNode', name, all);
};

/** "mdep/sprout" and "sprout" are the same, as in kubectl. */
export const bareName = (text: string): string => text.slice(text.indexOf('/') + 1);
