import type { Catalogue, LinkFacts, MachineFacts } from '../../catalogue/facts.ts';
import { reserveBytesOf } from '../capacity.ts';
import { impossible, interconnectsOf } from '../engine-limits.ts';
import type { Inventory, Kind } from '../inventory.ts';
import type { Refusal } from '../refusal.ts';
import { shapeLabel } from '../shapes.ts';
import type { PlanInput } from '../types.ts';
import { namesOf } from './appraise.ts';
import type { Engagement, Option } from './option.ts';

/**
 * When options fit and all are slower than degradation.minTokensPerSecond: no plan on this fleet is sensible.
 * Names the fastest that can be had, and the smallest group of Macs of the catalogue that would do; terminal
 * when there is none, for then no Mac that comes helps.
 */
export const tooSlow = (
  { catalogue }: Inventory,
  { deployment }: Pick<PlanInput, 'deployment'>,
  engagements: readonly Engagement[],
  options: readonly Option[],
): Refusal | undefined => {
  const asked = deployment.spec.degradation.minTokensPerSecond;
  const [fastest] = options
    .flatMap((option) => (option.predicted ? [{ option, speed: speedOf(option) }] : []))
    .toSorted((a, b) => b.speed - a.speed);
  if (!fastest || fastest.speed >= asked) return undefined;
  const { option, speed } = fastest;
  const enough = smallestEnough(catalogue, engagements, asked);
  const remedy = enough
    ? `${enough} would do; or lower it`
    : 'no group of up to 4 Macs of one make in the catalogue would do: this is for data-centre GPUs, or for a smaller model';
  return {
    option: `${shapeLabel(option.shape)} on ${namesOf(option.candidates).join(', ')}`,
    reason: 'BelowMinimumSpeed',
    message: `no plan on this fleet is sensible: the fastest gives ${speed.toFixed(1)} tok/s, degradation.minTokensPerSecond is ${asked}; ${remedy}`,
    terminal: enough === undefined,
    shape: option.shape,
    nodeNames: namesOf(option.candidates),
  };
};

const speedOf = ({ predicted }: Option): number => predicted?.decodeTokensPerSecond ?? 0;

/** "2 × Mac Studio (M3 Ultra, 2025) with 512 GiB over RDMA (27.8 tok/s)": fewest nodes, then the lowest price. */
const smallestEnough = (
  catalogue: Catalogue,
  engagements: readonly Engagement[],
  asked: number,
): string | undefined => {
  for (const tensorSize of [1, 2, 4]) {
    const found = everyMachine(catalogue).flatMap(({ kind, machine, memoryGiB, price }) => {
      const speed = Math.max(
        0,
        ...engagements.map((engagement) =>
          speedOn(catalogue, engagement, { kind, machine, memoryGiB, tensorSize }),
        ),
      );
      return speed >= asked ? [{ machine, memoryGiB, price, speed }] : [];
    });
    const [cheapest] = found.toSorted(
      (a, b) => a.price - b.price || a.memoryGiB - b.memoryGiB || b.speed - a.speed,
    );
    if (cheapest) {
      const { machine, memoryGiB, speed } = cheapest;
      const over = tensorSize > 1 ? ' over RDMA' : '';
      return `${tensorSize} × ${machine.marketingName} with ${memoryGiB} GiB${over} (${speed.toFixed(1)} tok/s)`;
    }
  }
  return undefined;
};

interface Bought {
  kind: Kind;
  machine: MachineFacts;
  memoryGiB: number;
  price: number;
}

const everyMachine = ({ machines, chips }: Catalogue): Bought[] =>
  machines.flatMap((machine) =>
    machine.configurations.flatMap(({ memoryGiB, gpuCores, listPriceUSD = Infinity }): Bought[] => {
      const chip = chips.find((each) => each.chip === machine.chip && each.gpuCores === gpuCores);
      if (!chip) return [];
      // An id that no kind of the fleet has.
      const id = -1 - machines.indexOf(machine) * 1000 - memoryGiB;
      return [{ kind: { id, chip, machine }, machine, memoryGiB, price: listPriceUSD }];
    }),
  );

const speedOn = (
  { links }: Catalogue,
  { evaluator }: Engagement,
  bought: Pick<Bought, 'kind' | 'machine' | 'memoryGiB'> & { tensorSize: number },
): number => {
  const { kind, machine, memoryGiB, tensorSize } = bought;
  const { model, engine } = evaluator.demand;
  const shape = { tensorSize, pipelineSize: 1 };
  const layers = { firstLayer: 0, endLayer: model.layers.length };
  const memoryBytes = memoryGiB * 2 ** 30;
  const room = 0.8 * (memoryBytes - reserveBytesOf({ spec: unreserved, memoryBytes }));
  if (impossible(model, shape, engine) || machine.rdmaPorts < tensorSize - 1) return 0;
  if (evaluator.memoryOf(shape, 0, layers).totalBytes > room) return 0;
  const rdma = links.find(({ type, mode }) => type === 'Thunderbolt5' && mode === 'RDMA');
  const link: LinkFacts | undefined = tensorSize > 1 ? rdma : undefined;
  if (tensorSize > 1 && !(link && interconnectsOf(engine, shape).includes('RDMA'))) return 0;
  const kinds = Array.from({ length: tensorSize }, () => kind);
  const predicted = evaluator.predict({
    tensorSize,
    ranges: [layers],
    kinds,
    link,
  });
  return predicted?.decodeTokensPerSecond ?? 0;
};

const unreserved = {
  unschedulable: false,
  taints: [],
  linkPolicy: { allowRDMA: true, manageNetwork: 'Observe' as const },
  nodeLostToleranceSeconds: 0,
  links: [],
};
