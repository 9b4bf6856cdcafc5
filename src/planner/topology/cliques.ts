/**
 * All maximal full meshes of a graph, each ascending: sets of nodes that are neighbours of each other and to
 * which none can be added. `peers[node]` are its neighbours, ascending; nodes without any are left out.
 *
 * Bron and Kerbosch's algorithm with a pivot, started from each node with its later neighbours. A node has at
 * most p ports, so it starts at most 3^(p/3) meshes (19 for 8 ports; Moon and Moser's bound): linear in nodes.
 */
export const maximalMeshes = (peers: readonly (readonly number[])[]): number[][] => {
  const neighbours = peers.map((list) => new Set(list));
  const meshes: number[][] = [];
  const grow = (mesh: number[], candidates: number[], excluded: number[]): void => {
    if (candidates.length === 0) {
      if (excluded.length === 0 && mesh.length > 1) meshes.push(mesh.toSorted((a, b) => a - b));
      return;
    }
    const pivot = mostJoined([...candidates, ...excluded], candidates, neighbours);
    let open = candidates;
    let closed = excluded;
    for (const node of candidates.filter((each) => !neighbours[pivot]?.has(each))) {
      const joined = (each: number): boolean => neighbours[node]?.has(each) ?? false;
      grow([...mesh, node], open.filter(joined), closed.filter(joined));
      open = open.filter((each) => each !== node);
      closed = [...closed, node];
    }
  };
  for (const [node, list] of peers.entries()) {
    const later = list.filter((peer) => peer > node);
    if (later.length === 0) continue;
    grow(
      [node],
      later,
      list.filter((peer) => peer < node),
    );
  }
  return meshes;
};

const mostJoined = (
  nodes: readonly number[],
  candidates: readonly number[],
  neighbours: readonly ReadonlySet<number>[],
): number => {
  let best = nodes[0] ?? 0;
  let most = -1;
  for (const node of nodes) {
    const joined = candidates.filter((candidate) => neighbours[node]?.has(candidate)).length;
    if (joined > most) [best, most] = [node, joined];
  }
  return best;
};
