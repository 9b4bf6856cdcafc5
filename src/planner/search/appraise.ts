import type { LinkFacts } from '../../catalogue/facts.ts';
import type { Candidate } from '../capacity.ts';
import type { Kind } from '../inventory.ts';
import type { LayerRange } from '../partition.ts';
import type { Prediction } from '../prediction.ts';
import type { Shape } from '../shapes.ts';
import { slowestOf } from '../topology/link-facts.ts';
import type { LinkTable } from '../topology/link-facts.ts';
import type { Evaluator, Staffing } from './evaluate.ts';
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
}

/** How these nodes would perform; undefined where a chip or a link is not in the catalogue. */
export const appraise = (
  placed: Placed,
  evaluator: Evaluator,
  links: LinkTable,
): Prediction | undefined => {
  const { shape, candidates, ranges, mode, hopMode = mode, byNetwork } = placed;
  const { tensorSize, pipelineSize, expertSize } = shape;
  const kinds = candidates.flatMap(({ seat }) => seat.kind ?? []);
  if (kinds.length < candidates.length) return undefined;
  if (mode === 'None' || hopMode === 'None') {
    return evaluator.predict({ tensorSize, stages: stagesOf(kinds, ranges, shape) });
  }
  const indexes = candidates.map(({ seat }) => seat.index);
  const network = byNetwork ? links.network(indexes) : undefined;
  const slowestLink = (): LinkFacts | undefined =>
    mode === 'TCP' && byNetwork === 'All' ? network : slowestInStages(links, indexes, shape, mode);
  const slowestHop = (): LinkFacts | undefined =>
    hopMode === 'TCP' && byNetwork ? network : links.slowest(stagePairs(indexes, shape), hopMode);
  const link = tensorSize > 1 ? slowestLink() : undefined;
  const hop = pipelineSize > 1 ? slowestHop() : undefined;
  if ((tensorSize > 1 && !link) || (pipelineSize > 1 && !hop)) return undefined;
  return evaluator.predict({
    tensorSize,
    ...(expertSize === undefined ? {} : { expertSize }),
    stages: stagesOf(kinds, ranges, shape),
    ...(link ? { link } : {}),
    ...(hop ? { hop } : {}),
  });
};

const stagesOf = (
  kinds: readonly Kind[],
  ranges: readonly LayerRange[],
  { tensorSize }: Shape,
): Staffing['stages'] =>
  ranges.map((layers, stage) => ({
    layers,
    kinds: kinds.slice(stage * tensorSize, (stage + 1) * tensorSize),
  }));

const slowestInStages = (
  links: LinkTable,
  indexes: readonly number[],
  { tensorSize, pipelineSize }: Shape,
  mode: 'TCP' | 'RDMA',
): LinkFacts | undefined => {
  const found = Array.from({ length: pipelineSize }, (_, stage) =>
    links.slowestAmong(indexes.slice(stage * tensorSize, (stage + 1) * tensorSize), mode),
  );
  const known = found.filter((link) => link !== undefined);
  return known.length < found.length ? undefined : slowestOf(known);
};

/** Each rank with its counterpart on the next stage. */
const stagePairs = (indexes: readonly number[], { tensorSize }: Shape): [number, number][] =>
  indexes.slice(tensorSize).map((right, rank): [number, number] => [indexes[rank] ?? right, right]);

export const namesOf = (candidates: readonly Candidate[]): string[] =>
  candidates.map(({ node }) => node.name);
