import { compareText } from '../eligibility.ts';
import type { Rung } from '../ladder.ts';
import {
  describeDoubt,
  describeValue,
  describeValues,
  keepPerNode,
  moveMargin,
  scoreOf,
  valueOf,
} from '../objective.ts';
import type { Prediction } from '../prediction.ts';
import type { Refusal } from '../refusal.ts';
import { shapeLabel, strategyOf, worldSize } from '../shapes.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import type { PlanOption } from '../types.ts';
import type { LinkTable } from '../topology/link-facts.ts';
import { appraise, namesOf } from './appraise.ts';
import type { Placed } from './appraise.ts';
import type { Evaluator } from './evaluate.ts';
import type { Pool } from './pool.ts';

/** One engine with the nodes that it may use for a deployment. */
export interface Engagement {
  evaluator: Evaluator;
  pool: Pool;
}

/** Something that would work. */
export interface Option extends Placed {
  engagement: Engagement;
  degradedBy: Rung['degradedBy'];
  /** Of its shape: "Tensor 4". */
  label: string;
  /** Undefined where nothing is known of a chip or a link. */
  predicted: Prediction | undefined;
  /** Higher is better; 0 where nothing is predicted. */
  score: number;
  /** Where the group runs now. */
  isCurrent?: boolean;
}

type Objective = ModelDeploymentSpec['objective'];

/** What these nodes are worth to a deployment. */
export const optionOf = (
  placed: Placed,
  engagement: Engagement,
  {
    links,
    objective,
    crowd,
    degradedBy,
  }: { links: LinkTable; objective: Objective; crowd: Crowd } & Pick<Option, 'degradedBy'>,
): Option => {
  const predicted = appraise(placed, engagement.evaluator, links);
  const nodes = worldSize(placed.shape);
  const score = predicted
    ? scoreOf(objective, predicted, { nodes, mode: placed.mode }) /
      (1 + othersOn(placed)) ** 2 /
      turnsOf(nodes, crowd)
    : 0;
  const label = shapeLabel(placed.shape);
  return { ...placed, engagement, degradedBy, label, predicted, score };
};

/** What the groups of one deployment have to share. */
export interface Crowd {
  /** Groups that need a place, this one included. */
  groups: number;
  /** Nodes that nobody uses yet. */
  idleNodes: number;
}

/** How many groups would come to one node if all that are to come were cut like this one. */
const turnsOf = (nodes: number, { groups, idleNodes }: Crowd): number =>
  idleNodes >= nodes ? Math.max(1, (nodes * groups) / idleNodes) : 1;

/**
 * Groups that compute on one node take turns: with one other, each is half as fast while both are busy. It takes
 * as much from those that were there as it gets itself, hence the square.
 */
const othersOn = ({ candidates }: Placed): number => {
  let most = 0;
  for (const { seat } of candidates) most = Math.max(most, seat.groups);
  return most;
};

const engineOf = ({ engagement }: Option): string => engagement.evaluator.demand.engine.name;

/** By score, ties by fewer nodes, the smaller engine, then name; where nothing is predicted the first, as they were tried. */
export const bestOf = (options: readonly Option[]): Option | undefined => {
  let best: Option | undefined;
  for (const option of options) {
    if (option.predicted && (!best || byScore(option, best) < 0)) best = option;
  }
  return best ?? options[0];
};

const byScore = (a: Option, b: Option): number =>
  (isTie(a.score, b.score) ? 0 : b.score - a.score) ||
  worldSize(a.shape) - worldSize(b.shape) ||
  processBytesOf(a) - processBytesOf(b) ||
  compareText(engineOf(a), engineOf(b)) ||
  a.shape.tensorSize - b.shape.tensorSize ||
  compareText(namesOf(a.candidates).join(), namesOf(b.candidates).join());

/** Of engines with the same kernels, and so the same speed, the one that takes less memory beside the model. */
const processBytesOf = ({ engagement }: Option): number =>
  engagement.evaluator.demand.engine.processBytes;

const isTie = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-9 * Math.max(a, b);

/** What was chosen, then the best of every other engine, cut and interconnect, then what did not work. */
export const listOptions = (
  chosen: Option | undefined,
  options: readonly Option[],
  refusals: readonly Refusal[],
  objective: Objective,
): PlanOption[] => {
  const groups = Map.groupBy(
    options,
    (option) => `${engineOf(option)}/${option.label}/${option.mode}`,
  );
  const best = [...groups.values()].flatMap((group) => {
    const first = bestOf(group);
    if (!first || !chosen || !group.includes(chosen)) return first ?? [];
    // Where the group runs it stays, but what would be better is told.
    return chosen.isCurrent && first.score > chosen.score ? [first] : [];
  });
  const others = best.toSorted(byScore).map((option) => ({
    ...toPlanOption(option),
    verdict: 'Slower' as const,
    ...whyNot(option, chosen, objective),
  }));
  const refused = refusals.flatMap((refusal) => fromRefusal(refusal));
  if (!chosen) return [...others, ...refused];
  const why = chosen.predicted ? describeValue(objective, chosen.predicted) : 'the first that fits';
  return [
    { ...toPlanOption(chosen), verdict: 'Chosen', reason: 'PlanFound', message: why },
    ...others,
    ...refused,
  ];
};

const toPlanOption = (option: Option): Omit<PlanOption, 'verdict' | 'reason' | 'message'> => {
  const { shape, ranges, engagement, predicted } = option;
  const memories = ranges.map(
    (layers, stage) => engagement.evaluator.memoryOf(shape, stage, layers).totalBytes,
  );
  return {
    engine: engineOf(option),
    strategy: strategyOf(shape),
    ...shape,
    interconnectMode: option.mode,
    nodeNames: namesOf(option.candidates),
    memoryBytes: Math.max(...memories),
    ...(predicted ? { predicted } : {}),
  };
};

const whyNot = (
  option: Option,
  chosen: Option | undefined,
  objective: Objective,
): Pick<PlanOption, 'reason' | 'message'> => {
  const { predicted, shape } = option;
  if (!predicted) {
    const { evaluator } = option.engagement;
    const message = evaluator.isPredictable
      ? 'no speed is predicted for these machines'
      : `no speed is predicted for engine ${evaluator.demand.engine.name}: there are no measurements of it`;
    return { reason: 'NotPredicted', message };
  }
  if (!chosen?.predicted) {
    return { reason: 'LessForObjective', message: describeValue(objective, predicted) };
  }
  const [own, best] = describeValues(objective, predicted, chosen.predicted);
  const message = `${own}, chosen: ${best}`;
  const others = othersOn(option);
  if (others > othersOn(chosen)) {
    return {
      reason: 'LessForObjective',
      message: `${message}, but its nodes also serve ${others} other group${others > 1 ? 's' : ''}`,
    };
  }
  if (chosen.isCurrent && option.score > chosen.score) {
    const gain = (option.score / chosen.score - 1) * 100;
    return {
      reason: 'MoveNotEarned',
      message: `${message}: ${gain.toFixed(0)} % better, but a group moves for ${moveMargin * 100} % only`,
    };
  }
  const share = valueOf(objective, predicted) / valueOf(objective, chosen.predicted);
  if (share < 1) {
    const percent = (1 - share) * 100;
    const less = percent < 0.5 ? 'less than 0.5' : percent.toFixed(0);
    return { reason: 'LessForObjective', message: `${message}: ${less} % less` };
  }
  const extra = worldSize(shape) - worldSize(chosen.shape);
  const doubt = describeDoubt(objective, predicted, option.mode);
  return extra > 0
    ? {
        reason: 'NodesNotEarned',
        message: `${message}: ${((share - 1) * 100).toFixed(0)} % more, but each of ${extra} more nodes must bring ${keepPerNode * 100} %${doubt}`,
      }
    : {
        reason: 'LessForObjective',
        message:
          share === 1 ? `${message}: ties go to less memory, then by name` : `${message}${doubt}`,
      };
};

/** Refusals of nodes are no options. */
const fromRefusal = ({
  engine,
  shape,
  expertSize,
  predicted,
  reason,
  message,
  mode,
  nodeNames,
}: Refusal): PlanOption[] =>
  shape === undefined
    ? []
    : [
        {
          engine: engine ?? '',
          strategy: strategyOf(shape),
          ...shape,
          ...(expertSize === undefined ? {} : { expertSize }),
          ...(predicted ? { predicted } : {}),
          interconnectMode: mode ?? (worldSize(shape) === 1 ? 'None' : 'TCP'),
          nodeNames: [...(nodeNames ?? [])],
          verdict: 'Rejected',
          reason,
          message,
        },
      ];
