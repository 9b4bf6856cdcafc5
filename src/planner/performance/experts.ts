import type { ModelProfile } from '../../catalogue/model-profile.ts';
import { expectedExperts } from './model-sums.ts';

/**
 * With experts whole on `nodes` nodes: the share of the experts hit that the busiest node reads, which all
 * others wait for. Of 8 experts at random over 2 nodes the busiest has 5.1, over 4 it has 3.5.
 */
export const expectedMaximum = (model: ModelProfile, nodes: number, rows: number): number => {
  const experts = model.layers.find((layer) => layer.experts)?.experts;
  if (!experts || nodes < 2) return 1;
  const hit = expectedExperts(experts.count, experts.perToken, rows);
  return maximumOf(Math.round(hit), nodes) / Math.round(hit);
};

/** Expected number of balls in the fullest of `bins` when `balls` fall at random: sum of P(fullest > k). */
const maximumOf = (balls: number, bins: number): number => {
  let expected = 0;
  for (let most = 0; most < balls; most += 1) {
    const within = probabilityWithin(balls, bins, most);
    expected += 1 - within;
    if (within > 1 - 1e-9) break;
  }
  return expected;
};

/**
 * P(no bin has more than `most`): balls! ÷ bins^balls times the coefficient of x^balls in (sum of x^j ÷ j!, j to
 * most)^bins. Bins are multiplied in one at a time as probabilities, so that nothing overflows.
 */
const probabilityWithin = (balls: number, bins: number, most: number): number => {
  // ways[b]: probability that the bins so far hold b balls, none too many, given how balls split among bins.
  let ways: number[] = Array.from({ length: balls + 1 }, (_, held) => (held === balls ? 1 : 0));
  for (let left = bins; left > 1; left -= 1) {
    const next: number[] = ways.map(() => 0);
    for (const [remaining, probability] of ways.entries()) {
      if (probability === 0) continue;
      let term = probability * (1 - 1 / left) ** remaining;
      for (let taken = 0; taken <= Math.min(most, remaining); taken += 1) {
        next[remaining - taken] = (next[remaining - taken] ?? 0) + term;
        term *= (remaining - taken) / ((taken + 1) * (left - 1));
      }
    }
    ways = next;
  }
  return ways.reduce((sum, probability, held) => sum + (held <= most ? probability : 0), 0);
};
