import { errorMessage, EspalierError } from '../base/errors.ts';
import { builtInRefusal } from './builtin-support.ts';
import { configFields, show } from './config-fields.ts';
import type { ConfigFields } from './config-fields.ts';
import { byFields } from './families/by-fields.ts';
import { families } from './families/index.ts';
import type { Family } from './families/index.ts';
import { isRecord } from './model-files.ts';
import type { Divisor, LayerProfile, ModelProfile } from './model-profile.ts';
import type { LayerShape, ModelModule, ModelShape } from './model-shape.ts';
import { readWidths } from './quantization-config.ts';
import { matrixBytes } from './weight-width.ts';
import type { Widths } from './weight-width.ts';

/** What a config.json says: shapes, and how wide their elements are. */
export interface ParsedConfig {
  shape: ModelShape;
  widths: Widths;
  /** As in ModelProfile. */
  basis: 'Architecture' | 'Fields';
  unsupportedBy: Readonly<Record<string, string>>;
}

/** The fields of config.json and its model_type. Throws ModelConfigInvalid. */
export const openConfig = (
  value: unknown,
  file: string,
): { fields: ConfigFields; architecture: string } => {
  if (!isRecord(value)) throw configFields({}, file).invalid('expected an object');
  const fields = configFields(value, file);
  const architecture = fields.given('model_type');
  if (typeof architecture !== 'string') throw fields.invalid('model_type: expected a string');
  return { fields, architecture };
};

export const isKnownArchitecture = (architecture: string): boolean =>
  Object.hasOwn(families, architecture);

/**
 * Checks and reads the value of config.json; `gguf` is the type that the name of the weights tells. A model_type that is
 * not known is read by what its fields usually mean. Throws ModelConfigInvalid for what is missing or malformed and
 * UnsupportedArchitecture where fields do not tell enough; both name the file.
 */
export const parseConfig = (value: unknown, file: string, gguf?: string): ParsedConfig => {
  const { fields, architecture } = openConfig(value, file);
  const text = textFields(fields);
  const isKnown = isKnownArchitecture(architecture);
  const shape = isKnown
    ? familyShape(text, architecture)
    : unknownShape(text, architecture, text === fields ? undefined : text.given('model_type'));
  const refusal = builtInRefusal(isRecord(value) ? value : {}, gguf);
  return {
    shape: withOuterTie(shape, fields),
    widths: readWidths(fields, text, gguf),
    basis: isKnown ? 'Architecture' : 'Fields',
    unsupportedBy: refusal === undefined ? {} : { BuiltIn: refusal },
  };
};

const familyOf = (architecture: unknown): Family | undefined =>
  typeof architecture === 'string' && isKnownArchitecture(architecture)
    ? families[architecture]
    : undefined;

/** A wrapper's text part may be of another family than the wrapper is named for: then it counts. */
const familyShape = (text: ConfigFields, architecture: string): ModelShape => {
  const own = familyOf(architecture);
  const inner = familyOf(text.given('model_type'));
  const family = inner ?? own ?? byFields;
  const read =
    inner === undefined || inner === own ? architecture : String(text.given('model_type'));
  return { ...family(text, read), architecture };
};

/** Its text part may be known; else the fields are read as they are in other families. */
const unknownShape = (text: ConfigFields, architecture: string, textType: unknown): ModelShape => {
  const family = familyOf(textType);
  if (family) return { ...family(text, String(textType)), architecture };
  try {
    return byFields(text, architecture);
  } catch (error) {
    throw new EspalierError(
      'UnsupportedArchitecture',
      `${text.file}: model_type ${show(architecture)} is not known, and its fields do not tell its size: ${errorMessage(error)}. It can be planned from the headers of its weights, which are not there; known are ${Object.keys(families).join(', ')}`,
      { file: text.file },
      { cause: error },
    );
  }
};

/** Of models with a vision part, the text part: the rest is not planned. */
const textFields = (fields: ConfigFields): ConfigFields => {
  if (fields.given('hidden_size') !== undefined) return fields;
  const part = textParts.find((key) => isRecord(fields.given(key)));
  const inner = part === undefined ? undefined : fields.nested(part);
  return inner ? textFields(inner) : fields;
};

const textParts = ['text_config', 'llm_config', 'language_config', 'thinker_config'];

/** Some files say outside of text_config whether embeddings are tied. */
const withOuterTie = (shape: ModelShape, fields: ConfigFields): ModelShape => ({
  ...shape,
  tiedEmbeddings: shape.tiedEmbeddings ?? fields.flag('tie_word_embeddings'),
});

/** Bytes of a module's matrix (or vector), with scales and biases of quantisation, and of its bias. */
export interface ModuleBytes {
  weightBytes: number;
  biasBytes: number;
}

/** From shapes alone, for folders without weights: every matrix quantised that its quantiser would. */
export const impliedBytes = (widths: Widths, module: ModelModule): ModuleBytes => {
  const { name, rows, columns, bias, plain } = module;
  const { floatBytes } = widths;
  const biasBytes = bias ? rows * floatBytes : 0;
  const width = widths.of(name);
  // MLX leaves matrices as they are whose rows are no whole number of groups.
  const whole = width.format === 'Float' || columns % width.groupSize === 0;
  if (plain || columns === 0 || !whole) {
    return { weightBytes: rows * Math.max(1, columns) * floatBytes, biasBytes };
  }
  return { weightBytes: matrixBytes(width, rows, columns), biasBytes };
};

/** What a profile says beside where it was read, and what is only known of files. */
export type SizedModel = Omit<
  ModelProfile,
  'uri' | 'revision' | 'weightsPresent' | 'basis' | 'unsupportedBy'
>;

/** The sizes of a profile; `bytesOf` says what each module weighs. */
export const sizeModel = (
  { shape, widths }: ParsedConfig,
  tiedEmbeddings: boolean,
  bytesOf: (module: ModelModule) => ModuleBytes,
): SizedModel => {
  const { architecture, hiddenSize, vocabSize, maxPositions } = shape;
  const layers = shape.layers.map((layer) => sizeLayer(layer, bytesOf));
  const embeddingBytes = sumBytes(shape.embedding, bytesOf);
  const headBytes = tiedEmbeddings ? 0 : sumBytes(shape.head, bytesOf);
  const otherBytes = sumBytes(shape.other, bytesOf);
  const { main, assumption } = widths;
  return {
    architecture,
    hiddenSize,
    vocabSize,
    tiedEmbeddings,
    maxPositions,
    ...(main && {
      quantization: { format: main.format, bits: main.bits, groupSize: main.groupSize },
    }),
    ...(assumption !== undefined && { notes: [assumption] }),
    totalBytes: layers.reduce(
      (sum, layer) => sum + layerBytes(layer),
      embeddingBytes + headBytes + otherBytes,
    ),
    layers,
    divisors: divisorsOf(shape.layers, widths),
    embeddingBytes,
    headBytes,
    otherBytes,
  };
};

/** All bytes of a layer, with all of its experts. */
export const layerBytes = ({ shardedBytes, replicatedBytes, experts }: LayerProfile): number =>
  shardedBytes + replicatedBytes + (experts ? experts.count * experts.bytesEach : 0);

const sizeLayer = (
  layer: LayerShape,
  bytesOf: (module: ModelModule) => ModuleBytes,
): LayerProfile => {
  const { mixer, modules, experts, cache, scoreElements, headWidth } = layer;
  const { wholeScoreElements, exchanges } = layer;
  let shardedBytes = 0;
  let replicatedBytes = 0;
  for (const module of modules) {
    const { weightBytes, biasBytes } = bytesOf(module);
    const cutBytes =
      (module.cut === 'Nothing' ? 0 : weightBytes) + (module.cut === 'Rows' ? biasBytes : 0);
    shardedBytes += cutBytes;
    replicatedBytes += weightBytes + biasBytes - cutBytes;
  }
  return {
    mixer,
    shardedBytes,
    replicatedBytes,
    activeParameters: parametersOf(modules),
    ...(experts && {
      experts: {
        count: experts.count,
        perToken: experts.perToken,
        bytesEach: sumBytes(experts.modules, bytesOf),
        parametersEach: parametersOf(experts.modules),
      },
    }),
    cache,
    scoreElements,
    ...(headWidth !== undefined && { headWidth }),
    ...(wholeScoreElements !== undefined && { wholeScoreElements }),
    ...(exchanges !== undefined && { exchanges }),
  };
};

const sumBytes = (
  modules: readonly ModelModule[],
  bytesOf: (module: ModelModule) => ModuleBytes,
): number =>
  modules.reduce((sum, module) => {
    const { weightBytes, biasBytes } = bytesOf(module);
    return sum + weightBytes + biasBytes;
  }, 0);

const parametersOf = (modules: readonly ModelModule[]): number =>
  modules.reduce(
    (sum, { rows, columns, bias }) => sum + rows * Math.max(1, columns) + (bias ? rows : 0),
    0,
  );

/** Each rule once, whatever the number of layers: heads and widths first, then quantisation groups. */
const divisorsOf = (layers: readonly LayerShape[], widths: Widths): Divisor[] => {
  const all = [
    ...layers.flatMap(({ divisors }) => divisors),
    ...layers.flatMap((layer) => groupDivisors(layer, widths)),
  ];
  const seen = new Map(all.map((divisor) => [JSON.stringify(divisor), divisor]));
  return [...seen.values()];
};

const groupDivisors = ({ groupCuts }: LayerShape, widths: Widths): Divisor[] =>
  groupCuts.flatMap(({ what, module, inputs, unit }) => {
    const width = widths.of(module);
    if (width.format === 'Float' || width.format === 'Gguf') return [];
    const { groupSize } = width;
    const together = leastCommonMultiple(groupSize, unit);
    const heads = together === groupSize ? '' : ` and heads of ${unit}`;
    return [
      {
        reason: 'IndivisibleQuantizationGroups' as const,
        what: `quantisation groups of the ${what}`,
        // Inputs that are no whole number of groups cannot be divided at all.
        count: inputs % together === 0 ? inputs / together : 1,
        detail: `of ${together} inputs each (groups of ${groupSize}${heads})`,
      },
    ];
  });

const leastCommonMultiple = (a: number, b: number): number => (a / greatestCommonDivisor(a, b)) * b;

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);

/**
 * The profile that a config.json alone gives. Pure. `quantization` replaces what the file says, in MLX's form;
 * null takes it away. `gguf` (with `quantization: null`): the type of a GGUF file, such as Q4_K_M. Errors as parseConfig.
 */
export const profileOf = (
  config: Readonly<Record<string, unknown>>,
  {
    quantization,
    gguf,
    uri = '',
  }: {
    quantization?: Readonly<Record<string, unknown>> | null;
    gguf?: string;
    uri?: string;
  } = {},
): ModelProfile => {
  const value = quantization === undefined ? config : withQuantization(config, quantization);
  const parsed = parseConfig(value, uri || 'config.json', gguf);
  return {
    uri,
    revision: '',
    weightsPresent: false,
    basis: parsed.basis,
    ...sizeModel(parsed, parsed.shape.tiedEmbeddings ?? false, (module) =>
      impliedBytes(parsed.widths, module),
    ),
    ...(Object.keys(parsed.unsupportedBy).length > 0
      ? { unsupportedBy: parsed.unsupportedBy }
      : {}),
  };
};

const withQuantization = (
  config: Readonly<Record<string, unknown>>,
  quantization: Readonly<Record<string, unknown>> | null,
): Record<string, unknown> => {
  const none = { quantization: null, quantization_config: null };
  const text = config['text_config'];
  return {
    ...config,
    ...(isRecord(text) && { text_config: { ...text, ...none } }),
    ...none,
    quantization,
  };
};
