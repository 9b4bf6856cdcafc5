import { loadSchemas } from '../../resources/schemas.ts';
import type { SpecEdit } from '../backend/backend.ts';
import { changeText, fieldChanges } from './merge-patch.ts';

interface ChangedSpec {
  /** As the edit wants it: a field that it leaves out goes from the YAML. */
  after: object;
  /** As it is then served. */
  defaulted: object;
  /** One per field: "paused: false → true". */
  changes: string[];
}

export const changedSpec = (object: { spec: object }, edit: SpecEdit): ChangedSpec => {
  const change = edit.change as (spec: object) => object;
  const after = change(object.spec);
  const defaulted = loadSchemas().defaultField(edit.kind, 'spec', after) as object;
  return {
    after,
    defaulted,
    changes: fieldChanges(object.spec, defaulted).map(changeText),
  };
};
