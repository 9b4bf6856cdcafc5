import type { ModelDeploymentSpec } from '../../resources/types.ts';
import type { Inventory } from '../inventory.ts';
import { rdmaPairs } from '../interconnect.ts';
import type { Plan } from '../types.ts';
import type { Placeable } from './placeable.ts';
import type { Pool } from './pool.ts';

/** A plan that was made before, for a deployment that has not changed since. */
export interface Claim {
  spec: ModelDeploymentSpec;
  plan: Plan;
}

/**
 * Takes plans of before back in, one after another, while nothing is reserved yet. True when all nodes of the
 * plan may still be used, have the room beside those that were claimed before, and RDMA where it is used.
 */
export const createClaims = (
  inventory: Inventory,
  poolOf: (claim: Claim) => Pool | undefined,
): ((claim: Claim) => boolean) => {
  const onNode = new Map<string, number>();
  const onHost = new Map<string, number>();
  return (claim) => {
    const { ranks, interconnectMode } = claim.plan;
    const pool = poolOf(claim);
    const candidates = ranks.flatMap(({ nodeName }) => pool?.named.get(nodeName) ?? []);
    if (!pool || candidates.length < ranks.length) return false;
    if (interconnectMode === 'RDMA' && !keepsRDMA(inventory, claim.plan, candidates)) return false;
    const takes = candidates.map((candidate, rank) => ({
      candidate,
      bytes: ranks[rank]?.memory.totalBytes ?? 0,
    }));
    const add = (sign: 1 | -1): void => {
      for (const { candidate, bytes } of takes) {
        const { node, host } = candidate;
        onNode.set(node.name, (onNode.get(node.name) ?? 0) + sign * bytes);
        onHost.set(host, (onHost.get(host) ?? 0) + sign * bytes);
      }
    };
    add(1);
    const fits = takes.every(
      ({ candidate: { node, host, freeBytes } }) =>
        (onNode.get(node.name) ?? 0) <= freeBytes &&
        (onHost.get(host) ?? 0) <= (pool.hostFreeBytes.get(host) ?? 0),
    );
    if (!fits) add(-1);
    return fits;
  };
};

/** Between stages packets may do, where the plan says so. */
const keepsRDMA = (
  { topology }: Inventory,
  plan: Plan,
  candidates: readonly Placeable[],
): boolean =>
  rdmaPairs(plan).every(([left, right]) => {
    const [a, b] = [candidates[left], candidates[right]];
    if (!a || !b || a.host === b.host) return true;
    return topology.rdmaPeers[a.seat.index]?.includes(b.seat.index) ?? false;
  });
