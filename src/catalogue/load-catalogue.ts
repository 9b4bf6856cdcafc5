import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import type { ErrorObject } from 'ajv';
import { parse } from 'yaml';
import { errorMessage, EspalierError } from '../base/errors.ts';
import { catalogueFileSchema } from './facts-schema.ts';
import type { Catalogue } from './facts.ts';
import type { PerformanceFacts } from './performance-facts.ts';

/** The data lies beside the source, which the package ships: two folders above both src/catalogue and dist/catalogue. */
const dataFolder = new URL('../../src/catalogue/data/', import.meta.url);
const ownFiles = ['chips.yaml', 'machines.yaml', 'links.yaml', 'engines.yaml', 'performance.yaml'];

/** What one file may hold: any part of a catalogue. */
type CatalogueFile = Partial<Omit<Catalogue, 'performance'>> & {
  performance?: Partial<PerformanceFacts>;
};

/**
 * The catalogue that comes with Espalier, then what `extraFiles` add, in order: an entry with the key of an
 * earlier one replaces it. Keys: chip and gpuCores; marketingName; type, mode and linkGbps; engine name; of
 * performance: generation, and of its engines the last entry holds.
 * Throws CatalogueInvalid, which names the file, the place in it and what was expected there.
 */
export const loadCatalogue = (extraFiles: readonly string[] = []): Catalogue => {
  const own = ownFiles.map((name) => fileURLToPath(new URL(name, dataFolder)));
  const catalogue = [...own, ...extraFiles].map(readFile).reduce<Catalogue>(extend, {
    chips: [],
    machines: [],
    links: [],
    engines: [],
    performance: {
      engines: [],
      generations: [],
      costs: { usdPerKWh: 0, depreciationYears: 1, wattsPerGPUCore: 1, source: '' },
    },
  });
  checkReferences(catalogue, extraFiles.at(-1) ?? own[1] ?? '');
  return catalogue;
};

const readFile = (file: string): CatalogueFile => {
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw invalid(file, `expected YAML that can be read: ${errorMessage(cause)}`, cause);
  }
  if (validate(value)) return value;
  const error = validate.errors?.[0];
  throw invalid(file, error ? describe(error) : 'not valid');
};

const extend = (catalogue: Catalogue, more: CatalogueFile): Catalogue => ({
  chips: replaced(catalogue.chips, more.chips, ({ chip, gpuCores }) => `${chip} ${gpuCores}`),
  machines: replaced(catalogue.machines, more.machines, ({ marketingName }) => marketingName),
  links: replaced(
    catalogue.links,
    more.links,
    ({ type, mode, linkGbps }) => `${type} ${mode} ${linkGbps}`,
  ),
  engines: replaced(catalogue.engines, more.engines, ({ name }) => name),
  performance: extendPerformance(catalogue.performance, more.performance),
});

const extendPerformance = (
  known: PerformanceFacts,
  more: Partial<PerformanceFacts> | undefined,
): PerformanceFacts => ({
  engines: [...known.engines, ...(more?.engines ?? [])],
  generations: replaced(known.generations, more?.generations, ({ generation }) => `${generation}`),
  costs: more?.costs ?? known.costs,
});

const replaced = <T>(
  known: readonly T[],
  more: readonly T[] | undefined,
  keyOf: (entry: T) => string,
): T[] => [...new Map([...known, ...(more ?? [])].map((entry) => [keyOf(entry), entry])).values()];

/** Every configuration of a machine is a variant of its chip. */
const checkReferences = ({ chips, machines }: Catalogue, file: string): void => {
  const known = new Set(chips.map(({ chip, gpuCores }) => `${chip} ${gpuCores}`));
  for (const { marketingName, chip, configurations } of machines) {
    const missing = configurations.find(({ gpuCores }) => !known.has(`${chip} ${gpuCores}`));
    if (missing) {
      throw invalid(
        file,
        `machine ${marketingName}: expected a chip ${chip} with ${missing.gpuCores} GPU cores in the catalogue, there is none; add it under chips`,
      );
    }
  }
};

const validate = new Ajv({ allErrors: false, allowUnionTypes: true }).compile<CatalogueFile>(
  catalogueFileSchema,
);

const describe = ({
  instancePath,
  keyword,
  message = 'is not valid',
  params,
}: ErrorObject): string => {
  const path = instancePath === '' ? 'the file' : instancePath.slice(1).replaceAll('/', '.');
  const allowed = keyword === 'enum' ? `: ${params['allowedValues'].join(', ')}` : '';
  const extra = keyword === 'additionalProperties' ? ` ("${params['additionalProperty']}")` : '';
  return `${path}: ${message}${allowed}${extra}`;
};

const invalid = (file: string, what: string, cause?: unknown) =>
  new EspalierError('CatalogueInvalid', `${file}: ${what}`, { file }, { cause });
