import { formatBytes } from '../../base/quantity.ts';
import type { ModelDeploymentSpec } from '../../resources/types.ts';
import { expertSizesOf } from '../engine-limits.ts';
import type { Inventory } from '../inventory.ts';
import { expectedMaximum } from '../performance/experts.ts';
import type { Refusal } from '../refusal.ts';
import type { Option } from './option.ts';
import type { Staffing } from './evaluate.ts';

/**
 * Whole experts on different nodes beside the same experts sliced over as many: what the busiest node computes
 * for a token, and the speeds. For models with experts that are cut, or where spec.parallelism.expertSize asks.
 * For engines that cannot place experts whole; with those that can, it is an option like any other.
 */
export const wholeExperts = (
  { links }: Inventory,
  { parallelism }: ModelDeploymentSpec,
  { shape, engagement, candidates, mode }: Option,
): Refusal | undefined => {
  const { evaluator } = engagement;
  const { model, engine } = evaluator.demand;
  const size = parallelism.expertSize ?? shape.tensorSize;
  if (size < 2 || expertSizesOf(engine, model).includes(size)) return undefined;
  const about = {
    option: `Expert ${size}`,
    terminal: true,
    engine: engine.name,
    expertSize: size,
    shape: { tensorSize: size, pipelineSize: 1 },
  };
  const experts = model.layers.find((layer) => layer.experts)?.experts;
  if (!experts) {
    const message = `architecture ${model.architecture} has no experts: leave spec.parallelism.expertSize out`;
    return parallelism.expertSize === undefined
      ? undefined
      : { ...about, reason: 'IncompatibleModel', message };
  }
  const perNode = experts.perToken / size;
  const busiest = expectedMaximum(model, size, 1) * experts.perToken;
  const slices = `of the ${experts.perToken} experts of a token the busiest of ${size} nodes computes ${busiest.toFixed(1)} where they are whole, ${perNode.toFixed(1)} where each is sliced`;
  const layers = { firstLayer: 0, endLayer: model.layers.length };
  const held = evaluator.memoryOf(
    { tensorSize: size, pipelineSize: 1, expertSize: size },
    0,
    layers,
  );
  const why = `engine ${engine.name} slices experts, and cannot place them whole, which would take ${formatBytes(held.totalBytes)} of the fullest node`;
  const kind = candidates[0]?.seat.kind;
  const indexes = candidates.map(({ seat }) => seat.index);
  const link =
    mode === 'RDMA' ? links.withinStages(indexes, indexes.length, mode) : links.network(indexes);
  if (!kind || !link) return { ...about, reason: 'NotAvailableYet', message: `${slices}; ${why}` };
  const sliced: Staffing = {
    tensorSize: size,
    ranges: [layers],
    kinds: Array.from({ length: size }, () => kind),
    link,
  };
  const [whole, cut] = [{ ...sliced, expertSize: size }, sliced].map((each) =>
    evaluator.predict(each),
  );
  if (!whole || !cut) return { ...about, reason: 'NotAvailableYet', message: `${slices}; ${why}` };
  const speeds = `${whole.decodeTokensPerSecond.toFixed(1)} tok/s against ${cut.decodeTokensPerSecond.toFixed(1)} on ${size} × ${kind.chip.chip} over ${link.type} ${link.mode}`;
  const message = `${slices}: ${speeds}; ${why}`;
  return { ...about, reason: 'NotAvailableYet', message, predicted: whole };
};
