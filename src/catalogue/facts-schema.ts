/** JSON schema of a catalogue file: the types of facts.ts, field by field. */

const text = { type: 'string', minLength: 1 } as const;
const positive = { type: 'number', exclusiveMinimum: 0 } as const;
const count = { type: 'integer', minimum: 1 } as const;
const whole = { type: 'integer', minimum: 0 } as const;
const atLeastNothing = { type: 'number', minimum: 0 } as const;
const share = { type: 'number', exclusiveMinimum: 0, maximum: 1 } as const;

/** All properties required, but for those of `optional`; no others. */
const object = (
  properties: Readonly<Record<string, object>>,
  optional: Readonly<Record<string, object>> = {},
) => ({
  type: 'object',
  additionalProperties: false,
  required: Object.keys(properties),
  properties: { ...properties, ...optional },
});

const list = (items: object) => ({ type: 'array', items });
const oneOf = (...values: string[]) => ({ type: 'string', enum: values });

const listOrAny = (items: object) => ({ anyOf: [oneOf('Any'), list(items)] });

const interconnects = list(oneOf('TCP', 'RDMA'));

const chip = object({
  chip: text,
  gpuCores: count,
  cpuCores: count,
  memoryBandwidthGBps: positive,
  fp16TFLOPS: positive,
  hasMatmulUnits: { type: 'boolean' },
  dies: count,
  source: text,
});

const machine = object({
  modelIdentifiers: list(text),
  marketingName: text,
  chip: text,
  configurations: {
    ...list(object({ memoryGiB: positive, gpuCores: count }, { listPriceUSD: positive })),
    minItems: 1,
  },
  thunderbolt: oneOf('Thunderbolt3', 'Thunderbolt4', 'Thunderbolt5'),
  rdmaPorts: whole,
  ethernetGbps: atLeastNothing,
  idleWatts: atLeastNothing,
  maxWatts: positive,
  wiredShare: object({ upTo32GiB: share, above32GiB: share }),
  source: text,
});

const link = object({
  type: oneOf('Thunderbolt5', 'Thunderbolt4', 'Thunderbolt3', 'Ethernet', 'WiFi', 'SharedHost'),
  mode: oneOf('RDMA', 'TCP'),
  linkGbps: positive,
  allReduceMicroseconds: {
    ...list(object({ ranks: { type: 'integer', minimum: 2 }, microseconds: positive })),
    minItems: 1,
  },
  hopMicroseconds: positive,
  bandwidthGBps: positive,
  source: text,
});

const engine = object(
  {
    name: text,
    version: { type: 'string' },
    runsOn: oneOf('AppleGPU', 'CPU'),
    architectures: listOrAny(text),
    formats: list(oneOf('Float', 'Affine', 'Mxfp4', 'Gguf')),
    expert: {
      oneOf: [
        { const: false },
        object({ architectures: listOrAny(text), rest: oneOf('Whole', 'Cut'), interconnects }),
      ],
    },
    batches: { type: 'boolean' },
    kvElementBytes: positive,
    batchRows: count,
    processBytes: whole,
    source: text,
  },
  {
    unnamed: oneOf('Single', 'Stages'),
    fastSynchVariable: text,
    tensor: object(
      {
        architectures: listOrAny(text),
        sizes: listOrAny(count),
        replicates: list(oneOf('Embedding', 'Head')),
        interconnects,
      },
      { dividesHiddenSize: { type: 'boolean' }, needsFullMesh: { type: 'boolean' } },
    ),
    pipeline: object(
      { architectures: listOrAny(text), uneven: { type: 'boolean' }, interconnects },
      { replicates: list(oneOf('Embedding', 'Head')) },
    ),
  },
);

const performance = object(
  {},
  {
    engines: list(
      object({
        names: list(text),
        decode: object(
          {
            bandwidthShare: object({ oneDie: share, twoDies: share }),
            operationsPerWeight: object({ float: atLeastNothing, quantized: atLeastNothing }),
            layerMicroseconds: object({
              base: positive,
              experts: atLeastNothing,
              latentAttention: atLeastNothing,
              linearAttention: atLeastNothing,
              slidingWindow: atLeastNothing,
            }),
            tokenMicroseconds: atLeastNothing,
            twoDieFactor: positive,
            cacheReads: object({
              attention: positive,
              sharingHead: atLeastNothing,
              latentAttention: positive,
            }),
            synchronizationMicroseconds: atLeastNothing,
            batchShare: share,
            layerFactors: { type: 'object', additionalProperties: positive },
          },
          {
            ownKernelMicroseconds: {
              type: 'object',
              additionalProperties: object({ linearAttention: atLeastNothing }),
            },
          },
        ),
        prefill: object(
          {
            computeShare: object({
              dense: share,
              experts: share,
              attention: share,
              wideAttention: share,
              latentAttention: share,
            }),
            expertTileRows: atLeastNothing,
            stageOverlap: { type: 'number', minimum: 0, maximum: 1 },
            matmulUnitFactor: object({ matrices: positive, attention: positive }),
            bfloat16Share: share,
            batchMilliseconds: atLeastNothing,
            requestMilliseconds: atLeastNothing,
            vocabularyMicroseconds: atLeastNothing,
            rankMilliseconds: atLeastNothing,
          },
          { skipsUncachedLayers: { type: 'boolean' }, wiringMillisecondsPerGB: atLeastNothing },
        ),
        band: object({ known: share, unknown: share, exchange: share }),
        measuredArchitectures: list(text),
        source: text,
      }),
    ),
    generations: list(object({ generation: count, launchFactor: positive, source: text })),
    costs: object({
      usdPerKWh: atLeastNothing,
      depreciationYears: positive,
      wattsPerGPUCore: positive,
      source: text,
    }),
  },
);

export const catalogueFileSchema = {
  type: 'object',
  additionalProperties: false,
  minProperties: 1,
  properties: {
    chips: list(chip),
    machines: list(machine),
    links: list(link),
    engines: list(engine),
    performance,
  },
} as const;
