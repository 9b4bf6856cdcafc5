import type { ClusterNode, ModelDeployment, ModelDeploymentRevision } from '../resources/types.ts';
import { notFound } from './home/edited-object.ts';
import type { Home, Namespace } from './home/home.ts';
import type { KindName } from './kinds.ts';

export type AnyObject = ModelDeployment | ClusterNode | ModelDeploymentRevision;

/** Objects of one kind, sorted by name; all of them, or the named one. Throws CommandFailure (not found). */
export const findObjects = async (
  home: Home,
  kind: KindName,
  { namespace, name }: { namespace: Namespace; name?: string },
): Promise<AnyObject[]> => {
  const objects = (await objectsOf(home, kind, namespace)).toSorted((left, right) =>
    left.metadata.name < right.metadata.name ? -1 : 1,
  );
  if (name === undefined) return objects;
  const found = objects.filter(({ metadata }) => metadata.name === name);
  if (found.length > 0) return found;
  return notFound(kind, name, objects, kind === 'ClusterNode' ? undefined : namespace);
};

const objectsOf = async (
  home: Home,
  kind: KindName,
  namespace: Namespace,
): Promise<readonly AnyObject[]> => {
  if (kind === 'ModelDeployment') return home.deployments(namespace);
  if (kind === 'ClusterNode') return home.nodes();
  return home.revisions(namespace);
};

/** The named deployment; "mdep/sprout" is "sprout". Throws CommandFailure (not found). */
export const findDeployment = async (
  home: Home,
  text: string,
  namespace: string,
): Promise<ModelDeployment> => {
  const name = bareName(text);
  const all = await home.deployments(namespace);
  return (
    all.find(({ metadata }) => metadata.name === name) ??
    notFound('ModelDeployment', name, all, namespace)
  );
};

/** The named node; "cnode/mini-1" is "mini-1". Throws CommandFailure (not found). */
export const findNode = async (home: Home, text: string): Promise<ClusterNode> => {
  const name = bareName(text);
  const all = await home.nodes();
  return all.find(({ metadata }) => metadata.name === name) ?? notFound('ClusterNode', name, all);
};

/** "mdep/sprout" and "sprout" are the same, as in kubectl. */
export const bareName = (text: string): string => text.slice(text.indexOf('/') + 1);
