import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/** A published measurement; files and fields as described at the head of measurements.yaml. */
export interface Measurement {
  id: string;
  source: string;
  /** As in the catalogue; absent for engines that it does not have. */
  engine?: string;
  model?: string;
  bits?: number;
  expertBits?: number;
  chip: string;
  gpuCores?: number;
  nodes?: number;
  cut?: string;
  link?: [type: string, mode: string, gbps: number];
  /** Stages of unlike Macs, and how many layers each has; `chip` is then the first one's. */
  stages?: { chip: string; gpuCores: number; layers: number }[];
  /** False: MLX without MLX_METAL_FAST_SYNCH on its ranks. */
  fastSynch?: boolean;
  /** True: with a pause of some seconds before each request. */
  afterPause?: boolean;
  promptTokens?: number;
  generatedTokens?: number;
  emptyCache?: boolean;
  concurrency?: number;
  decode?: number;
  prefill?: number;
  ttftMs?: number;
  watts?: number;
  /** Why it cannot be compared. */
  unusable?: string;
}

type ModelConfigs = Readonly<Record<string, Record<string, unknown>>>;

const read = (name: string): unknown => parse(readFileSync(new URL(name, import.meta.url), 'utf8'));

const readMeasurements = (name: string): Measurement[] =>
  (read(name) as { source: string; rows: Measurement[] }[]).flatMap(({ source, rows }) =>
    rows.map((row) => ({ ...row, source })),
  );

/** The rows that the project started from. */
export const calibration = (): Measurement[] => readMeasurements('measurements.yaml');
/** Found later, part of the fit. */
export const further = (): Measurement[] => [
  ...readMeasurements('further.yaml'),
  ...readMeasurements('scaling.yaml'),
];
/** Found later, never part of the fit. */
export const heldOut = (): Measurement[] => [
  ...readMeasurements('held-out.yaml'),
  ...readMeasurements('unseen.yaml'),
];
export const modelConfigs = (): ModelConfigs => read('models.yaml') as ModelConfigs;
