import type { Catalogue, EngineFacts } from '../catalogue/facts.ts';
import type { ModelProfile } from '../catalogue/model-profile.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { compareText, runs } from './eligibility.ts';
import { includes } from './engine-limits.ts';
import type { Refusal } from './refusal.ts';
import type { PlanNode } from './types.ts';

/**
 * The engines that may run this model: the one that was asked for, else those that some node has or could
 * have. Built-in first, then by name. Refusals say why an engine that is there cannot; all are terminal.
 */
export const enginesFor = (
  spec: ModelDeploymentSpec,
  model: ModelProfile,
  { engines }: Catalogue,
  nodes: readonly PlanNode[],
): { engines: EngineFacts[]; refusals: Refusal[] } => {
  const { name, version } = spec.runtime;
  const known = withUnnamed(engines, model.architecture).toSorted(byName);
  const asked = name === 'Auto' ? known : known.filter((engine) => engine.name === name);
  if (asked.length === 0) return { engines: [], refusals: [unknownEngine(name, known)] };
  const there = asked.filter((engine) => nodes.some((node) => runs(node, engine, version)));
  const usable = there.length > 0 ? there : asked;
  // A folder without weights says how wide they are to be; the engine that is asked for would have them its way.
  const isWish = name !== 'Auto' && !model.weightsPresent;
  const refusals = usable.flatMap((engine) => foreignModel(engine, model, isWish) ?? []);
  const able = usable.filter((engine) => !foreignModel(engine, model, isWish));
  return { engines: able, refusals };
};

/** Whether any engine of the catalogue names this architecture; those that read all of a format do not count. */
export const isNamed = (engines: readonly EngineFacts[], architecture: string): boolean =>
  engines.some(
    ({ architectures }) => architectures !== 'Any' && includes(architectures, architecture),
  );

/** An architecture that no engine names is taken for one that some run in a later release. */
const withUnnamed = (engines: readonly EngineFacts[], architecture: string): EngineFacts[] =>
  isNamed(engines, architecture)
    ? [...engines]
    : engines.map((engine) => {
        const { unnamed, pipeline } = engine;
        if (unnamed === undefined) return engine;
        const architectures = [architecture];
        return {
          ...engine,
          architectures,
          ...(pipeline && unnamed === 'Stages' && { pipeline: { ...pipeline, architectures } }),
        };
      });

const byName = (a: EngineFacts, b: EngineFacts): number =>
  Number(b.name === 'BuiltIn') - Number(a.name === 'BuiltIn') || compareText(a.name, b.name);

const unknownEngine = (name: string, known: readonly EngineFacts[]): Refusal => {
  const names = known.map((engine) => engine.name).join(', ');
  return {
    option: `Engine ${name}`,
    reason: 'EngineUnavailable',
    message: `engine ${name} is not available yet, only ${names} is: set spec.runtime.name to Auto or ${names}`,
    terminal: true,
  };
};

/** Families that a message names; longer lists say nothing. */
const mostListed = 12;

const foreignModel = (
  engine: EngineFacts,
  model: ModelProfile,
  isWish: boolean,
): Refusal | undefined => {
  const message = unreadable(engine, model, isWish);
  if (message === undefined) return undefined;
  return { option: `Engine ${engine.name}`, reason: 'IncompatibleModel', message, terminal: true };
};

const unreadable = (
  { name, architectures, formats }: EngineFacts,
  { architecture, quantization, unsupportedBy }: ModelProfile,
  isWish: boolean,
): string | undefined => {
  if (!includes(architectures, architecture)) {
    const few = architectures === 'Any' || architectures.length > mostListed ? [] : architectures;
    const list = few.length > 0 ? `: ${few.join(', ')}` : '';
    return `architecture ${architecture} is not one that engine ${name} runs${list}`;
  }
  const cause = unsupportedBy?.[name];
  if (cause !== undefined) {
    return `engine ${name} runs ${architecture}, but not with this config.json: ${cause}`;
  }
  const format = quantization?.format ?? 'Float';
  // `Other` widths are sized, but which engines read them is not recorded.
  if (isWish || format === 'Other' || formats.includes(format)) return undefined;
  return `engine ${name} reads ${formats.join(', ')} weights, these are ${format}`;
};
