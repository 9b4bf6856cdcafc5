import { cpus } from 'node:os';
import { ask } from '../../src/cli/quickstart/ask.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { BenchModel } from './models.ts';
import { watchOtherLoad } from './other-load.ts';
import type { OtherLoad } from './other-load.ts';
import { withRankGroup } from './rank-group.ts';
import type { GroupShape } from './rank-group.ts';

/** One measurement of one way to run one model. */
export interface Decoding extends OtherLoad {
  model: string;
  shape: GroupShape;
  tokensPerSecond: number;
  /** What one token reads, over all ranks. */
  weightBytes: number;
  /** Of what plain loops in as many threads got in the same round. */
  shareOfRead: number;
  shareOfCopy: number;
}

export const shapes: readonly GroupShape[] = [
  { ranks: 1, threads: 1, link: 'shm' },
  { ranks: 1, threads: 2, link: 'shm' },
  { ranks: 2, threads: 1, link: 'shm' },
  { ranks: 2, threads: 1, link: 'tcp' },
  { ranks: 4, threads: 1, link: 'shm' },
  { ranks: 4, threads: 1, link: 'tcp' },
];

const answerTimeoutMs = 120_000;
const fewestTokens = 32;

/**
 * Starts the ranks, warms them up and asks one question over HTTP. The time is that of the answer less that of an
 * answer of one token: a client which reads late would find first and last token together.
 */
export const measureDecoding = async (options: {
  model: BenchModel;
  shape: GroupShape;
  bandwidths: ReadonlyMap<number, Bandwidth>;
  signal: AbortSignal;
}): Promise<Decoding> => {
  const { model, shape, bandwidths, signal } = options;
  return withRankGroup({ model, shape, signal }, async ({ endpointUrl, pids, weightBytes }) => {
    const timed = async (maxTokens: number) => {
      const { prompt } = model;
      const startedMs = performance.now();
      const question = { baseUrl: endpointUrl, model: 'bench', prompt, maxTokens };
      const { tokens } = await ask({ ...question, timeoutMs: answerTimeoutMs });
      return { tokens, seconds: (performance.now() - startedMs) / 1000 };
    };
    await timed(8);
    const one = [await timed(1), await timed(1), await timed(1)];
    const otherLoad = watchOtherLoad(pids);
    const { tokens, seconds } = await timed(model.maxTokens);
    const load = otherLoad();
    if (tokens < fewestTokens) throw new Error(`${model.name} ended after ${tokens} tokens`);
    const oneSeconds = Math.min(...one.map((each) => each.seconds));
    const tokensPerSecond = (tokens - 1) / (seconds - oneSeconds);
    const gigabytesPerSecond = (weightBytes * tokensPerSecond) / 1e9;
    const memory = bandwidths.get(busyThreads(shape))!;
    return {
      model: model.name,
      shape,
      tokensPerSecond,
      weightBytes,
      shareOfRead: gigabytesPerSecond / memory.read,
      shareOfCopy: gigabytesPerSecond / memory.copy,
      ...load,
    };
  });
};

/** Threads that run at one time: what the reads of this shape are to be compared with. */
export const busyThreads = ({ ranks, threads }: GroupShape): number =>
  Math.min(ranks * threads, cpus().length);
