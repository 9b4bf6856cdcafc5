import type { CostFacts } from '../../catalogue/performance-facts.ts';
import type { PerformanceOption } from './option.ts';

/**
 * Watts of all nodes at the wall while decoding: what each draws idle, and its GPU's cores for as long as they do
 * not wait for an exchange or, in a pipeline, for other stages. An upper estimate: of four M3 Ultra that were
 * measured at 150 W each under dense tensor parallelism it says about 200.
 */
export const decodeWatts = (
  { stages, performance }: PerformanceOption,
  interconnectShare: number,
): number => {
  const busy = (1 - interconnectShare) / stages.length;
  let watts = 0;
  for (const { chip, machine } of stages.flatMap(({ ranks }) => ranks)) {
    const idle = machine?.idleWatts ?? unknownIdleWatts;
    const most = machine?.maxWatts ?? Number.POSITIVE_INFINITY;
    watts += Math.min(most, idle + busy * chip.gpuCores * performance.costs.wattsPerGPUCore);
  }
  return watts;
};

/** USD for a million tokens: electricity, and the machines over their years. Undefined if a price is missing. */
export const usdPerMillionTokens = (
  { stages }: PerformanceOption,
  costs: CostFacts,
  { watts, tokensPerSecond }: { watts: number; tokensPerSecond: number },
): number | undefined => {
  let price = 0;
  for (const { machine, chip } of stages.flatMap(({ ranks }) => ranks)) {
    const listPrice = machine?.configurations.find(
      ({ gpuCores, listPriceUSD }) => gpuCores === chip.gpuCores && listPriceUSD !== undefined,
    )?.listPriceUSD;
    if (listPrice === undefined) return undefined;
    price += listPrice;
  }
  const seconds = 1e6 / tokensPerSecond;
  const electricity = (watts / 1e3) * (seconds / 3600) * costs.usdPerKWh;
  return electricity + (price * seconds) / (costs.depreciationYears * secondsPerYear);
};

/** Desktops with Apple silicon draw 4 to 13 W idle. */
const unknownIdleWatts = 8;
const secondsPerYear = 365.25 * 24 * 3600;
