import type { Catalogue, LinkFacts } from '../../catalogue/facts.ts';
import type { Candidate } from '../capacity.ts';
import type { Kind } from '../inventory.ts';
import type { LayerRange } from '../partition.ts';
import type { Prediction } from '../prediction.ts';
import type { Shape } from '../shapes.ts';
import { linkFactsBetween, slowestLink } from '../topology/link-facts.ts';
import type { Evaluator } from './evaluate.ts';
import type { Placeable } from './pool.ts';

/** A cut on nodes that have the room for it. */
export interface Placed {
  shape: Shape;
  /** candidates[rank]. */
  candidates: Placeable[];
  ranges: LayerRange[];
  mode: 'None' | 'TCP' | 'RDMA';
  /** Between stages, where it is not `mode`. */
  hopMode?: 'TCP';
}

/** How these nodes would perform; undefined where a chip or a link is not in the catalogue. */
export const appraise = (
  placed: Placed,
  evaluator: Evaluator,
  { links }: Catalogue,
): Prediction | undefined => {
  const { shape, candidates, ranges, mode, hopMode = mode } = placed;
  const { tensorSize, pipelineSize } = shape;
  const kinds = candidates.flatMap(({ seat }) => seat.kind ?? []);
  if (kinds.length < candidates.length) return undefined;
  const between = (pairs: readonly Pair[], by: Placed['mode']): LinkFacts | undefined =>
    by === 'None' ? undefined : slowestOf(links, pairs, by);
  const link = tensorSize > 1 ? between(tensorPairs(candidates, shape), mode) : undefined;
  const hop = pipelineSize > 1 ? between(stagePairs(candidates, shape), hopMode) : undefined;
  if ((tensorSize > 1 && !link) || (pipelineSize > 1 && !hop)) return undefined;
  return evaluator.predict({
    tensorSize,
    stages: ranges.map((layers, stage) => ({ layers, kinds: kindsOf(kinds, shape, stage) })),
    ...(link ? { link } : {}),
    ...(hop ? { hop } : {}),
  });
};

const kindsOf = (kinds: readonly Kind[], { tensorSize }: Shape, stage: number): Kind[] =>
  kinds.slice(stage * tensorSize, (stage + 1) * tensorSize);

type Pair = readonly [Placeable, Placeable];

/** All pairs within each stage. */
const tensorPairs = (candidates: readonly Placeable[], { tensorSize }: Shape): Pair[] =>
  candidates.flatMap((left, rank) => {
    const endOfStage = rank - (rank % tensorSize) + tensorSize;
    return candidates.slice(rank + 1, endOfStage).map((right): Pair => [left, right]);
  });

/** Each rank with its counterpart on the next stage. */
const stagePairs = (candidates: readonly Placeable[], { tensorSize }: Shape): Pair[] =>
  candidates.flatMap((left, rank) => {
    const right = candidates[rank + tensorSize];
    return right ? [[left, right] as const] : [];
  });

/** Undefined when one pair's link is not in the catalogue. */
const slowestOf = (
  links: Catalogue['links'],
  pairs: readonly Pair[],
  mode: 'TCP' | 'RDMA',
): LinkFacts | undefined => {
  const found = new Set<LinkFacts>();
  for (const [left, right] of pairs) {
    const link = linkFactsBetween(links, left.seat, right.seat, mode);
    if (!link) return undefined;
    found.add(link);
  }
  return slowestLink([...found]);
};

export const namesOf = (candidates: readonly Candidate[]): string[] =>
  candidates.map(({ node }) => node.name);
