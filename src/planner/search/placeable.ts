import type { Candidate } from '../capacity.ts';
import type { Inventory, Seat } from '../inventory.ts';
import type { Compare } from './order.ts';
import type { Team } from './teams.ts';

/** A candidate with its place in the inventory. */
export interface Placeable extends Candidate {
  seat: Seat;
  /** How much its use would cost others, see `strainOf`. */
  strain: number;
  /** Of other deployments, as the orders know it. */
  groups: number;
  /** Whether the group runs there now, and nobody else does. */
  isCurrent: boolean;
  /** Groups of the same deployment on its host, and whether its island has any: equals keep apart. */
  siblings: number;
  isNearSibling: boolean;
  /** As a stage of its own, see `aloneOf`: undefined until asked for, and again when its room changes. */
  alone: Team | undefined;
}

export const isIdle = ({ node }: Placeable): boolean => node.usedMemoryBytes === 0;

/**
 * What a single rank on this node would spoil, the least first: 0 nothing (it is idle, and in no island that is
 * whole), 1 an island of which there are more, 2 the speed of others that run there, 3 the last whole island of
 * its make.
 */
export const strainOf = (
  { islands: { isWhole, makes, wholes } }: Inventory,
  { node, island }: Seat,
): number => {
  if (node.usedMemoryBytes > 0) return 2;
  if (!isWhole[island]) return 0;
  return (wholes.get(makes[island] ?? '')?.size ?? 0) > 1 ? 1 : 3;
};

/**
 * Where the group runs now, then the least strain, the fewest groups, the fewest of its own deployment, the
 * smallest island, an island without its own deployment.
 */
export const byStrain =
  ({ topology }: Inventory): Compare<Placeable> =>
  (a, b) =>
    Number(b.isCurrent) - Number(a.isCurrent) ||
    a.strain - b.strain ||
    a.groups - b.groups ||
    a.siblings - b.siblings ||
    islandSize(topology.islands, a) - islandSize(topology.islands, b) ||
    Number(a.isNearSibling) - Number(b.isNearSibling);

/** Then the most room, the first by name. */
export const inFull =
  (compareStrain: Compare<Placeable>): Compare<Placeable> =>
  (a, b) =>
    compareStrain(a, b) || b.freeBytes - a.freeBytes || a.seat.index - b.seat.index;

const islandSize = (islands: Inventory['topology']['islands'], { seat }: Placeable): number =>
  islands[seat.island]?.members.length ?? 1;
