import jsonPatch from 'fast-json-patch';
import type { NodeDocument } from './types.ts';

interface DocumentChange {
  /** Ids of assignments that came, went, or changed in place. */
  added: string[];
  removed: string[];
  changed: { id: string; paths: string[] }[];
}

/**
 * What differs between two documents of one node, for logs: ids and JSON pointers only, never values,
 * because an assignment holds the secret of its group. `before` undefined: everything is new.
 */
export const documentChange = (
  before: NodeDocument | undefined,
  after: NodeDocument,
): DocumentChange => {
  const change: DocumentChange = { added: [], removed: [], changed: [] };
  const pathsById = new Map<string, string[]>();
  for (const { op, path } of jsonPatch.compare(ranksById(before), ranksById(after))) {
    const [, key, ...rest] = path.split('/');
    // RFC 6901: a slash in a key is written ~1; rank ids hold no tilde.
    const id = (key ?? '').replaceAll('~1', '/');
    if (rest.length > 0) {
      pathsById.set(id, [...(pathsById.get(id) ?? []), `/${rest.join('/')}`]);
    } else if (op === 'remove') {
      change.removed.push(id);
    } else {
      change.added.push(id);
    }
  }
  change.changed = [...pathsById].map(([id, paths]) => ({ id, paths }));
  return change;
};

const ranksById = (document: NodeDocument | undefined): object =>
  Object.fromEntries((document?.ranks ?? []).map((rank) => [rank.id, rank]));
