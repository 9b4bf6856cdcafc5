import type { LinkFacts } from '../../catalogue/facts.ts';
import type { Candidate } from '../capacity.ts';
import type { Kind } from '../inventory.ts';
import type { LayerRange } from '../partition.ts';
import type { Prediction } from '../prediction.ts';
import type { Shape } from '../shapes.ts';
import type { LinkTable } from '../topology/link-facts.ts';
import type { Evaluator } from './evaluate.ts';
import type { Placeable } from './placeable.ts';

/** A cut on nodes that have the room for it. */
export interface Placed {
  shape: Shape;
  /** candidates[rank]. */
  candidates: Placeable[];
  ranges: LayerRange[];
  mode: 'None' | 'TCP' | 'RDMA';
  /** Between stages, where it is not `mode`. */
  hopMode?: 'TCP';
  /**
   * What of TCP goes by the network even where there happen to be cables, all of it or what passes from stage to
   * stage: sites that were sought without regard to cables are compared by what they are sure of, so that a node
   * more never makes one look worse.
   */
  byNetwork?: 'All' | 'Hops';
  /** Tensor ranks stand in the order of a ring of cables: packets pass from neighbour to neighbour. */
  isRing?: boolean;
}

/** How these nodes would perform; undefined where a chip or a link is not in the catalogue. */
export const appraise = (
  placed: Placed,
  evaluator: Evaluator,
  links: LinkTable,
): Prediction | undefined => {
  const { shape, candidates, ranges, mode, hopMode = mode, byNetwork, isRing } = placed;
  const { tensorSize, pipelineSize, expertSize } = shape;
  const kinds: Kind[] = [];
  const nodes: number[] = [];
  for (const { seat } of candidates) {
    if (!seat.kind) return undefined;
    kinds.push(seat.kind);
    nodes.push(seat.index);
  }
  if (mode === 'None' || hopMode === 'None')
    return evaluator.predict({ tensorSize, ranges, kinds });
  const slowestLink = (): LinkFacts | undefined => {
    if (isRing) return links.betweenStages([...nodes, ...nodes.slice(0, 1)], 1, mode);
    return mode === 'TCP' && byNetwork === 'All'
      ? links.network(nodes)
      : links.withinStages(nodes, tensorSize, mode);
  };
  const slowestHop = (): LinkFacts | undefined =>
    hopMode === 'TCP' && byNetwork
      ? links.network(nodes)
      : links.betweenStages(nodes, tensorSize, hopMode);
  const link = tensorSize > 1 ? slowestLink() : undefined;
  const hop = pipelineSize > 1 ? slowestHop() : undefined;
  if ((tensorSize > 1 && !link) || (pipelineSize > 1 && !hop)) return undefined;
  return evaluator.predict({ tensorSize, expertSize, ranges, kinds, link, hop });
};

export const namesOf = (candidates: readonly Candidate[]): string[] =>
  candidates.map(({ node }) => node.name);
