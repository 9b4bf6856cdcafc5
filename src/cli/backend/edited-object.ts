import type { ObjectKey } from '../../controller/ports.ts';
import type { ClusterNode, ModelDeployment } from '../../resources/types.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import type { SpecEdit } from './backend.ts';

export const keyOf = (edit: SpecEdit): ObjectKey =>
  edit.kind === 'ClusterNode'
    ? { kind: edit.kind, name: edit.name }
    : { kind: edit.kind, namespace: edit.namespace, name: edit.name };

/** The object that an edit is for. Throws CommandFailure (not found) that says what there is. */
export const editedObject = (
  objects: readonly (ModelDeployment | ClusterNode)[],
  edit: SpecEdit,
): ModelDeployment | ClusterNode => {
  const { kind, namespace, name } = keyOf(edit);
  const alike = objects.filter(
    (object) => object.kind === kind && object.metadata.namespace === namespace,
  );
  return (
    alike.find(({ metadata }) => metadata.name === name) ?? notFound(kind, name, alike, namespace)
  );
};

/** "ModelDeployment "x" not found in namespace "default"; there is a, b". */
export const notFound = (
  kind: string,
  name: string,
  others: readonly { metadata: { name: string } }[],
  namespace?: string,
): never => {
  const where = namespace === undefined ? '' : ` in namespace "${namespace}"`;
  const names = others.map(({ metadata }) => metadata.name).toSorted();
  const instead = names.length > 0 ? `; there is ${names.join(', ')}` : '';
  throw new CommandFailure(exitCodes.notFound, `${kind} "${name}" not found${where}${instead}`);
};
