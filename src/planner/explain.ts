import { formatBytes } from '../base/quantity.ts';
import type { EngineFacts } from '../catalogue/facts.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { hostOf } from './capacity.ts';
import type { Candidate } from './capacity.ts';
import type { Seat } from './inventory.ts';
import type { Shortfall } from './placement.ts';
import { shapeLabel } from './shapes.ts';
import type { Shape } from './shapes.ts';
import { describeValues } from './objective.ts';
import type { Prediction } from './prediction.ts';
import type { MemoryBreakdown, Plan } from './types.ts';

/** "41.2 GiB (weights 38.0 GiB + KV cache 2.1 GiB + workspace 1.1 GiB)". */
const describeMemory = (memory: MemoryBreakdown): string => {
  const weights = memory.shardedWeightsBytes + memory.replicatedWeightsBytes;
  return `${formatBytes(memory.totalBytes)} (weights ${formatBytes(weights)} + KV cache ${formatBytes(memory.kvCacheBytes)} + workspace ${formatBytes(memory.workspaceBytes)})`;
};

/** Names of up to eight nodes. */
export const listNames = (candidates: readonly Candidate[]): string => {
  const names = candidates.slice(0, 8).map(({ node }) => node.name);
  const more = candidates.length - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
};

/** The need, the room and the difference to the byte, for the rank that found no room. */
export const describeShortfall = (
  { candidate, needBytes, leftBytes }: Shortfall,
  memory: MemoryBreakdown,
): string => {
  const shortBytes = needBytes - leftBytes;
  return (
    `needs ${describeMemory(memory)} on ${candidate.node.name}, ` +
    `${describeRoom(candidate, leftBytes)}: ` +
    `short by ${formatBytes(shortBytes)} (${withSeparators(shortBytes)} bytes)${howToLift(candidate, shortBytes)}`
  );
};

/** Which limit binds, where it is only the fifth that is kept free. */
const howToLift = ({ node, reserveBytes, spareBytes }: Candidate, shortBytes: number): string =>
  shortBytes > spareBytes
    ? ''
    : `; it would fit without the ${formatBytes(spareBytes)} that keep it at 80 % of the ${formatBytes(node.memoryBytes - reserveBytes)} that the GPU may wire: to use them give the exact cut in spec.parallelism, or spec.reservedMemory on the node`;

/** "29.7 GiB free of 48.0 GiB (4.8 GiB reserved, 8.0 GiB headroom, 5.5 GiB held by other groups)". */
const describeRoom = (candidate: Candidate, leftBytes: number): string => {
  const { node, reserveBytes, headroomBytes, spareBytes } = candidate;
  const ownBytes =
    node.memoryBytes - reserveBytes - headroomBytes - spareBytes - node.usedMemoryBytes;
  const parts = [
    [reserveBytes, 'reserved'],
    [headroomBytes, 'headroom'],
    [spareBytes, 'kept beside the GPU'],
    ...holders(node),
    [ownBytes - leftBytes, 'taken by other ranks on the same host'],
  ] satisfies [number, string][];
  const shown = parts
    .filter(([bytes]) => bytes > 0)
    .map(([bytes, what]) => `${formatBytes(bytes)} ${what}`);
  const total = `${formatBytes(Math.max(0, leftBytes))} free of ${formatBytes(node.memoryBytes)}`;
  return shown.length > 0 ? `${total} (${shown.join(', ')})` : total;
};

/** The largest few by name. */
const maxNamedHolders = 4;

const holders = ({ usedMemoryBytes, heldBy = [] }: Candidate['node']): [number, string][] => {
  const named = [...Map.groupBy(heldBy, ({ who }) => who)]
    .map(([who, held]) => ({ who, memoryBytes: sumOf(held) }))
    .toSorted((left, right) => right.memoryBytes - left.memoryBytes)
    .slice(0, maxNamedHolders);
  return [
    ...named.map(({ who, memoryBytes }): [number, string] => [memoryBytes, `held by ${who}`]),
    [usedMemoryBytes - sumOf(named), 'held by other groups'],
  ];
};

const sumOf = (held: readonly { memoryBytes: number }[]): number =>
  held.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);

export interface Choice {
  spec: ModelDeploymentSpec;
  model: ModelProfile;
  shape: Shape;
  /** `seat.kind`: absent where nothing can be predicted. */
  candidates: readonly (Candidate & { seat: Pick<Seat, 'kind'> })[];
  plan: Pick<
    Plan,
    | 'ranks'
    | 'interconnectMode'
    | 'hopMode'
    | 'contextLength'
    | 'degradedBy'
    | 'predicted'
    | 'environment'
  >;
  engine: EngineFacts;
  /** No engine of the catalogue names the model's architecture. */
  isUnnamed: boolean;
  /** Other groups on the busiest of its nodes. */
  otherGroups: number;
  /** Names of its nodes that hold other groups of the same deployment. */
  sharedNames: readonly string[];
  /** Why not RDMA, in case it is TCP. */
  rdmaGap: string;
  /** The best of what was not chosen. */
  runnerUp?: { shape: Shape; predicted: Prediction };
}

/** A few sentences: what was chosen, why, what it takes on the fullest node, what was given up or not heeded. */
export const explainChoice = (choice: Choice): string =>
  [
    choiceSentence(choice),
    roomSentence(choice),
    ...predictionSentences(choice),
    ...tuningSentences(choice),
    ...degradationSentences(choice),
    ...noteSentences(choice),
  ].join(' ');

const choiceSentence = ({ spec, shape, candidates, plan, rdmaGap }: Choice): string => {
  const where = `${shapeLabel(shape)} on ${listNames(candidates)}`;
  if (plan.ranks.length === 1) {
    const why =
      spec.parallelism.strategy === 'Auto' && !plan.predicted
        ? ': the whole model fits one node, and a second one would make every layer wait for the network, at a cost that is not measured here yet'
        : '';
    return `${where}${why}.`;
  }
  const oneHost = new Set(candidates.map(({ node }) => hostOf(node))).size === 1;
  const how = oneHost ? `${plan.interconnectMode}, all ranks on one host` : plan.interconnectMode;
  const explainTCP =
    plan.interconnectMode === 'TCP' && spec.interconnect.mode !== 'TCP' && !oneHost;
  const gap = explainTCP ? ` (${rdmaGap})` : '';
  const why =
    spec.parallelism.strategy === 'Auto' && !plan.predicted ? '; no cut with fewer ranks fits' : '';
  const hops = plan.hopMode ? ` within stages, ${plan.hopMode} between them` : '';
  return `${where} over ${how}${hops}${gap}${why}.`;
};

const roomSentence = ({ candidates, plan }: Choice): string => {
  const tightest = plan.ranks
    .flatMap((rank) => {
      const candidate = candidates[rank.rank];
      return candidate ? [{ rank, candidate }] : [];
    })
    .toSorted(
      (a, b) =>
        a.candidate.freeBytes -
        a.rank.memory.totalBytes -
        (b.candidate.freeBytes - b.rank.memory.totalBytes),
    )[0];
  if (!tightest) return '';
  const { rank, candidate } = tightest;
  const which = plan.ranks.length === 1 ? 'It' : `The tightest rank, ${rank.rank},`;
  return `${which} needs ${describeMemory(rank.memory)} on ${candidate.node.name}, ${describeRoom(candidate, candidate.freeBytes)}.`;
};

/** What it is expected to give, and what the next best would have. */
const predictionSentences = ({
  spec,
  plan: { predicted },
  runnerUp,
  otherGroups,
}: Choice): string[] => {
  if (!predicted) return [];
  const { decodeTokensPerSecond: speed, timeToFirstTokenMilliseconds: firstMs } = predicted;
  const range = `${predicted.decodeTokensPerSecondLow.toFixed(1)} to ${predicted.decodeTokensPerSecondHigh.toFixed(1)}`;
  const own = `Predicted: ${speed.toFixed(1)} tok/s for one request (${range}), ${predicted.aggregateTokensPerSecond.toFixed(1)} with ${spec.runtime.maxConcurrentRequests}, the first token of ${predicted.promptTokens} after ${(firstMs / 1000).toFixed(2)} s, ${predicted.powerWatts.toFixed(0)} W.`;
  const shared =
    otherGroups === 0
      ? []
      : [
          `That is while the ${otherGroups} other group${otherGroups > 1 ? 's' : ''} on its nodes wait${otherGroups > 1 ? '' : 's'}: bandwidth is shared, so with all busy it is ${(speed / (1 + otherGroups)).toFixed(1)} tok/s, and they are slowed as much: both counted against it.`,
        ];
  if (!runnerUp) return [own, ...shared];
  const [chosen, next] = describeValues(spec.objective, predicted, runnerUp.predicted);
  return [
    own,
    ...shared,
    `For ${spec.objective} it beats ${shapeLabel(runnerUp.shape)}: ${chosen} against ${next}.`,
  ];
};

const tuningSentences = ({ candidates, plan, engine }: Choice): string[] => {
  const limits = plan.ranks.flatMap(({ nodeName, wiredLimitMiB }) =>
    wiredLimitMiB === undefined ? [] : [`${nodeName} ${wiredLimitMiB}`],
  );
  const wiringMs = plan.predicted?.wiringMilliseconds;
  const later =
    wiringMs === undefined
      ? ''
      : `, and the first token after a pause comes ${(wiringMs / 1000).toFixed(2)} s later`;
  const warm = `keep the model warm, or macOS unwires its weights between requests${later}`;
  const notes =
    limits.length > 0
      ? [
          `That is more than 80 % of what the GPU may wire by default: set iogpu.wired_limit_mb (${limits.join(', ')}), and ${warm}.`,
        ]
      : engine.runsOn === 'AppleGPU'
        ? [`The default of iogpu.wired_limit_mb is enough; ${warm}.`]
        : [];
  const [variable] = Object.keys(plan.environment ?? {});
  const { decodeTokensPerSecond: speed = 0, synchronizationMilliseconds: waitMs = 0 } =
    plan.predicted ?? {};
  if (variable !== undefined) {
    const without = 1e3 / (1e3 / speed + waitMs);
    notes.push(
      `Start every rank with ${variable}=1: without it each all-reduce waits for events of Metal, and one request gets ${without.toFixed(1)} tok/s.`,
    );
  }
  const unknown = candidates.filter(({ node }) => node.osVersion === '');
  if (plan.interconnectMode === 'RDMA' && unknown.length > 0) {
    notes.push(`macOS of ${listNames(unknown)} is not known: 26.2 or later is assumed.`);
  }
  return notes;
};

const degradationSentences = ({ plan }: Choice): string[] =>
  plan.degradedBy.length === 0
    ? []
    : [
        `This is less than was asked for: spec.degradation allowed ${plan.degradedBy.join(' and ')}.`,
      ];

/** Fields that ask for what planning cannot weigh yet are never passed over in silence. */
const noteSentences = (choice: Choice): string[] => {
  const { spec, model, plan, sharedNames, isUnnamed, engine } = choice;
  const notes: string[] = [];
  if (sharedNames.length > 0) {
    const [verb, them] = sharedNames.length === 1 ? ['holds', 'it'] : ['hold', 'any of them'];
    notes.push(
      `${sharedNames.join(', ')} also ${verb} another group of this deployment: both are lost with ${them}.`,
    );
  }
  if (plan.contextLength < spec.runtime.contextLength) {
    notes.push(
      `Context is ${plan.contextLength} tokens, not ${spec.runtime.contextLength}: the model has ${model.maxPositions} positions.`,
    );
  }
  notes.push(...unpredictedSentences(choice));
  const { promptTokens = 0, generatedTokens = 0 } = plan.predicted ?? {};
  if (promptTokens + generatedTokens > plan.contextLength) {
    notes.push(
      `These figures are for ${promptTokens + generatedTokens} tokens of prompt and answer: more than the context of ${plan.contextLength} that memory is planned for.`,
    );
  }
  if (!plan.predicted && spec.objective !== 'SustainedThroughput') {
    notes.push(
      `objective ${spec.objective} does not weigh in yet: no speed is known of these machines.`,
    );
  }
  if (!plan.predicted && spec.degradation.minTokensPerSecond > 0) {
    notes.push(
      'degradation.minTokensPerSecond is not judged yet: no speed is known of these machines.',
    );
  }
  if (model.basis === 'Tensors') {
    notes.push(
      `Architecture ${model.architecture} is not known: sizes come from the headers of the weights, all of a layer is taken to be read for each token and cached as plain attention would, and layers are not divided.`,
    );
  } else if (model.basis === 'Fields') {
    notes.push(
      `Architecture ${model.architecture} is not known and there are no weights: sizes are what the fields of config.json usually mean, with attention over all positions in each layer where they do not say otherwise, and layers are not divided. With the weights their headers count.`,
    );
  }
  notes.push(...(model.notes ?? []));
  if (isUnnamed && engine.unnamed !== undefined) {
    notes.push(
      `No engine of the catalogue names ${model.architecture}: a later release of ${engine.name} is assumed to run it.`,
    );
  }
  if (!model.weightsPresent) {
    notes.push('The folder has no weights: this can be planned, not started.');
  }
  return notes;
};

/** Why a GPU engine's plan has no speed. */
const unpredictedSentences = ({ plan, engine, candidates }: Choice): string[] => {
  const unknown = candidates.filter(({ seat }) => seat.kind === undefined);
  if (plan.predicted || engine.runsOn !== 'AppleGPU' || unknown.length === 0) return [];
  const names = unknown
    .slice(0, 8)
    .map(({ node }) => `${node.name} (${node.hardwareModel || '?'})`);
  return [
    `No speed is predicted: the catalogue does not know machine and chip of ${names.join(', ')}, or other nodes share their host; --catalogue adds machines and chips.`,
  ];
};

const withSeparators = (value: number): string => value.toLocaleString('en-US');
