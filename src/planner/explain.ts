import { formatBytes } from '../base/quantity.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { hostOf } from './capacity.ts';
import type { Candidate } from './capacity.ts';
import type { Shortfall } from './placement.ts';
import { shapeLabel } from './shapes.ts';
import type { Shape } from './shapes.ts';
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
    `short by ${formatBytes(shortBytes)} (${withSeparators(shortBytes)} bytes)`
  );
};

/** "29.7 GiB free of 48.0 GiB (4.8 GiB reserved, 8.0 GiB headroom, 5.5 GiB held by other deployments)". */
const describeRoom = (candidate: Candidate, leftBytes: number): string => {
  const { node, reserveBytes, headroomBytes } = candidate;
  const ownBytes = node.memoryBytes - reserveBytes - headroomBytes - node.usedMemoryBytes;
  const parts = [
    [reserveBytes, 'reserved'],
    [headroomBytes, 'headroom'],
    [node.usedMemoryBytes, 'held by other deployments'],
    [ownBytes - leftBytes, 'taken by other ranks on the same host'],
  ] as const;
  const shown = parts
    .filter(([bytes]) => bytes > 0)
    .map(([bytes, what]) => `${formatBytes(bytes)} ${what}`);
  const total = `${formatBytes(Math.max(0, leftBytes))} free of ${formatBytes(node.memoryBytes)}`;
  return shown.length > 0 ? `${total} (${shown.join(', ')})` : total;
};

export interface Choice {
  spec: ModelDeploymentSpec;
  model: ModelProfile;
  shape: Shape;
  candidates: readonly Candidate[];
  plan: Pick<Plan, 'ranks' | 'interconnectMode' | 'contextLength' | 'degradedBy'>;
  /** Why not RDMA, in case it is TCP. */
  rdmaGap: string;
}

/** A few sentences: what was chosen, why, what it takes on the fullest node, what was given up or not heeded. */
export const explainChoice = (choice: Choice): string =>
  [
    choiceSentence(choice),
    roomSentence(choice),
    ...degradationSentences(choice),
    ...noteSentences(choice),
  ].join(' ');

const choiceSentence = ({ spec, shape, candidates, plan, rdmaGap }: Choice): string => {
  const where = `${shapeLabel(shape)} on ${listNames(candidates)}`;
  if (plan.ranks.length === 1) {
    const why =
      spec.parallelism.strategy === 'Auto'
        ? ': the whole model fits one node, and a second one would make every layer wait for the network, at a cost that is not measured here yet'
        : '';
    return `${where}${why}.`;
  }
  const oneHost = new Set(candidates.map(({ node }) => hostOf(node))).size === 1;
  const how = oneHost ? `${plan.interconnectMode}, all ranks on one host` : plan.interconnectMode;
  const explainTCP =
    plan.interconnectMode === 'TCP' && spec.interconnect.mode !== 'TCP' && !oneHost;
  const gap = explainTCP ? ` (${rdmaGap})` : '';
  const why = spec.parallelism.strategy === 'Auto' ? '; no cut with fewer ranks fits' : '';
  return `${where} over ${how}${gap}${why}.`;
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

const degradationSentences = ({ plan }: Choice): string[] =>
  plan.degradedBy.length === 0
    ? []
    : [
        `This is less than was asked for: spec.degradation allowed ${plan.degradedBy.join(' and ')}.`,
      ];

/** Fields that ask for what planning cannot weigh yet are never passed over in silence. */
const noteSentences = ({ spec, model, plan }: Choice): string[] => {
  const notes: string[] = [];
  if (plan.contextLength < spec.runtime.contextLength) {
    notes.push(
      `Context is ${plan.contextLength} tokens, not ${spec.runtime.contextLength}: the model has ${model.maxPositions} positions.`,
    );
  }
  if (spec.objective !== 'SustainedThroughput') {
    notes.push(`objective ${spec.objective} does not weigh in yet: no speed is predicted.`);
  }
  if (spec.degradation.minTokensPerSecond > 0) {
    notes.push('degradation.minTokensPerSecond is not judged yet: no speed is predicted.');
  }
  if (!model.weightsPresent) {
    notes.push('The folder has no weights: this can be planned, not started.');
  }
  return notes;
};

const withSeparators = (value: number): string => value.toLocaleString('en-US');
