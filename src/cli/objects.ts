import type { ClusterNode, ModelDeployment, ModelDeploymentRevision } from '../resources/types.ts';
import type { StateView } from '../store/directory/read-only.ts';
import { CommandFailure, exitCodes } from './exit.ts';
import type { KindName } from './kinds.ts';

export type AnyObject = ModelDeployment | ClusterNode | ModelDeploymentRevision;

/** Objects of one kind in the state directory, sorted by name; all of them, or the named one. */
export const findObjects = (
  view: StateView,
  kind: KindName,
  options: { namespace: string; allNamespaces: boolean; name?: string },
): AnyObject[] => {
  const objects = objectsOf(view, kind)
    .filter(
      ({ metadata }) =>
        metadata.namespace === undefined ||
        options.allNamespaces ||
        metadata.namespace === options.namespace,
    )
    .toSorted((left, right) => (left.metadata.name < right.metadata.name ? -1 : 1));
  if (options.name === undefined) return objects;
  const found = objects.filter(({ metadata }) => metadata.name === options.name);
  if (found.length > 0) return found;
  throw new CommandFailure(
    exitCodes.notFound,
    `${kind} "${options.name}" not found` +
      (kind === 'ClusterNode' ? '' : ` in namespace "${options.namespace}"`) +
      (objects.length > 0
        ? `; there is ${objects.map(({ metadata }) => metadata.name).join(', ')}`
        : ''),
  );
};

const objectsOf = (view: StateView, kind: KindName): readonly AnyObject[] => {
  if (kind === 'ModelDeployment') return view.deployments();
  if (kind === 'ClusterNode') return view.nodes();
  return view.revisions();
};
