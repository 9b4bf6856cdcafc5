import type { ChipFacts, EngineFacts, LinkFacts, MachineFacts } from '../../catalogue/facts.ts';
import type { ModelProfile } from '../../catalogue/model-profile.ts';
import type { PerformanceFacts } from '../../catalogue/performance-facts.ts';
import type { LayerRange } from '../partition.ts';

/** One way to run a model, as far as its speed depends on it. */
export interface PerformanceOption {
  model: ModelProfile;
  engine: EngineFacts;
  performance: PerformanceFacts;
  tensorSize: number;
  /** In order; each has all tensor ranks of its layers. */
  stages: readonly PerformanceStage[];
  /** What the slowest pair of tensor ranks exchanges over; undefined where nothing is exchanged. */
  link?: LinkFacts;
  /** The slowest one between stages. */
  hop?: LinkFacts;
  /** Nodes that share the experts, each whole on one of them; absent: experts are sliced like the rest. */
  expertSize?: number;
  /** False: ranks wait for events of Metal, as MLX does unless MLX_METAL_FAST_SYNCH=1 is set on each of them. */
  fastSynch?: boolean;
  promptTokens: number;
  generatedTokens: number;
  /** Requests in flight for `aggregateTokensPerSecond`. */
  concurrency: number;
  /** Observed ÷ predicted of this chip, engine and family; see correction.ts. */
  correction?: number;
}

export interface PerformanceStage {
  layers: LayerRange;
  ranks: readonly { chip: ChipFacts; machine?: MachineFacts }[];
}

/** Of the ranks, those next to each other once: equals take equally long. */
export const chipsOf = ({ ranks }: PerformanceStage): ChipFacts[] => {
  const chips: ChipFacts[] = [];
  for (const { chip } of ranks) if (chip !== chips.at(-1)) chips.push(chip);
  return chips;
};
