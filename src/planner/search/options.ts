import type { EngineFacts } from '../../catalogue/facts.ts';
import { impossible, interconnectsOf } from '../engine-limits.ts';
import { rdmaGap } from '../interconnect.ts';
import type { Transport } from '../interconnect.ts';
import type { Rung } from '../ladder.ts';
import type { Demand } from '../memory.ts';
import type { Leaning } from '../placement.ts';
import type { Refusal } from '../refusal.ts';
import { shapeLabel } from '../shapes.ts';
import type { Shape } from '../shapes.ts';
import type { LinkTable } from '../topology/link-facts.ts';
import type { Topology } from '../topology/topology.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import type { Placed } from './appraise.ts';
import { optionOf } from './option.ts';
import type { Crowd, Engagement, Option } from './option.ts';
import { isIdle } from './placeable.ts';
import { placePlainly } from './plain.ts';
import { singleSites, tensorSites } from './sites.ts';
import type { SiteSearch } from './sites.ts';
import { stagedSites } from './staged-sites.ts';

/** What is asked of every option of one attempt. */
export interface Attempt {
  topology: Topology;
  links: LinkTable;
  objective: ModelDeploymentSpec['objective'];
  transport: Transport;
  leaning: Leaning;
  /** Groups of the deployment that need a place, this one included. */
  groups: number;
}

/**
 * Everything that would work with this engine among these cuts, and why the others would not. Where speed can
 * be told, the best nodes are sought for each cut; cuts for which none were found, or whose speed nobody knows,
 * are tried on the roomiest nodes. Without any known speed the first that fits ends the search.
 */
export const optionsFor = (
  engagement: Engagement,
  shapes: readonly Shape[],
  degradedBy: Rung['degradedBy'],
  attempt: Attempt,
): { options: Option[]; refusals: Refusal[] } => {
  const { demand } = engagement.evaluator;
  const { open, refused } = sift(demand, shapes);
  const refusals: Refusal[] = [...refused];
  const crowd = crowdOf(engagement, attempt.groups);
  const about = { ...attempt, crowd, degradedBy };
  const finish = (placed: Placed): Option => optionOf(placed, engagement, about);
  const options = placedWell(engagement, open, attempt)
    .map(finish)
    .filter(({ predicted }) => predicted);
  const isPredicted = options.length > 0;
  const covered = new Set(options.map(({ label }) => label));
  const left = isPredicted ? smallestOfEach(open) : open;
  for (const shape of left.filter((each) => !covered.has(shapeLabel(each)))) {
    const outcome = placePlainly(engagement, shape, attempt.transport, attempt.leaning);
    if ('refusal' in outcome) refusals.push(outcome.refusal);
    else options.push(finish(outcome.placed));
    if ('placed' in outcome && !isPredicted) break;
  }
  refusals.push(...withoutMesh(engagement, options, attempt));
  return { options, refusals };
};

/** Nobody counts nodes for one group. */
export const crowdOf = ({ pool }: Pick<Engagement, 'pool'>, groups: number): Crowd => ({
  groups,
  idleNodes: groups > 1 ? pool.candidates.filter(isIdle).length : Infinity,
});

/** Tensor groups that exchange over TCP because no nodes have RDMA all to all: why, on those that come closest. */
const withoutMesh = (
  { evaluator }: Engagement,
  options: readonly Option[],
  { topology, transport: { want } }: Attempt,
): Refusal[] => {
  const { engine } = evaluator.demand;
  const tensor = options.filter(({ shape, predicted }) => isTensor(shape) && predicted);
  if (want !== 'Auto' || tensor.length === 0) return [];
  return [...Map.groupBy(tensor, ({ shape }) => shape.tensorSize)].flatMap(([size, ofSize]) => {
    const [first] = ofSize;
    if (!first || ofSize.some(({ mode }) => mode === 'RDMA')) return [];
    if (!interconnectsOf(engine, first.shape).includes('RDMA')) return [];
    const seats = first.candidates.map(({ seat }) => seat);
    const joined = (topology.largestIsland?.members ?? []).flatMap(
      (index) => topology.ends[index] ?? [],
    );
    const ends = joined.length < size ? seats : joined.slice(0, size);
    const gap = rdmaGap(first.shape, ends);
    if (gap === undefined) return [];
    const nodeNames = ends.map(({ node }) => node.name);
    return [
      {
        option: `${shapeLabel(first.shape)} on ${nodeNames.join(', ')} over RDMA`,
        reason: 'NoRDMAMesh',
        message: `no ${size} nodes with the room have RDMA all to all: ${gap}`,
        terminal: false,
        engine: engine.name,
        shape: first.shape,
        mode: 'RDMA',
        nodeNames,
      },
    ];
  });
};

const isTensor = ({ tensorSize, pipelineSize, expertSize }: Shape): boolean =>
  tensorSize > 1 && pipelineSize === 1 && expertSize === undefined;

/** Cuts that can be, and why the others cannot: one without stages and one with for each tensor size. */
const sift = ({ model, engine }: Demand, shapes: readonly Shape[]): Sifted => {
  const known = sifted.get(shapes);
  if (known && known.engine === engine) return known;
  const never = shapes.map((shape) => impossible(model, shape, engine));
  const open = shapes.filter((_, index) => !never[index]);
  const closed = smallestOfEach(shapes.filter((_, index) => never[index]));
  const refused = closed.flatMap((shape) => {
    const refusal = never[shapes.indexOf(shape)];
    return refusal ? [{ ...refusal, engine: engine.name, shape }] : [];
  });
  const made = { engine, open, refused };
  sifted.set(shapes, made);
  return made;
};

/** By list, which askedShapes makes once for a model and an engine. */
const sifted = new WeakMap<readonly Shape[], Sifted>();

interface Sifted {
  engine: EngineFacts;
  open: readonly Shape[];
  refused: readonly Refusal[];
}

const isExpert = ({ expertSize }: Shape): boolean => expertSize !== undefined;

const placedWell = (
  { pool, evaluator }: Engagement,
  shapes: readonly Shape[],
  { topology, transport: { want } }: Attempt,
): Placed[] => {
  if (!evaluator.isPredictable || pool.orders.byKind.every(({ length }) => length === 0)) return [];
  const search: SiteSearch = { topology, pool, evaluator, want };
  const sites = shapes.filter(isExpert).flatMap((shape) => tensorSites(search, shape));
  const others = shapes.filter((shape) => !isExpert(shape));
  for (const [tensorSize, sameTensor] of Map.groupBy(others, (shape) => shape.tensorSize)) {
    const stages = new Set(sameTensor.map(({ pipelineSize }) => pipelineSize));
    if (stages.delete(1)) {
      const plain = { tensorSize, pipelineSize: 1 };
      sites.push(...(tensorSize === 1 ? singleSites(search) : tensorSites(search, plain)));
    }
    if (stages.size > 0) sites.push(...stagedSites(search, tensorSize, (size) => stages.has(size)));
  }
  return sites;
};

/** Without stages, and the fewest stages for each tensor size: enough to explain. */
const smallestOfEach = (shapes: readonly Shape[]): Shape[] => {
  const staged = new Set<number>();
  return shapes.filter(({ tensorSize, pipelineSize }) => {
    if (pipelineSize === 1) return true;
    const isFirst = !staged.has(tensorSize);
    staged.add(tensorSize);
    return isFirst;
  });
};
