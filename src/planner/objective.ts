import type { ModelDeploymentSpec } from '../resources/types.ts';
import type { Prediction } from './prediction.ts';
import type { Plan } from './types.ts';

type Objective = ModelDeploymentSpec['objective'];

/**
 * What each node beyond the first must bring, or it is left to others: a second Mac costs its power, its share
 * of failures and what else it could serve. 5 % is about half of what published tensor groups gain least for
 * each added node (DeepSeek-V3.1: 1.32 on two nodes, 1.54 on four).
 */
export const keepPerNode = 0.05;

/**
 * How much better a plan must be than the running one to be worth a restart. A group is away for some minutes
 * while it stops, stages weights and answers its canary; at 15 % more, five minutes are made good within 40.
 */
export const moveMargin = 0.15;

/**
 * Exchanges over TCP are the least certain of all figures: round trips over Thunderbolt were read from 0.2 to 0.95 ms,
 * collectives over 10 Gigabit Ethernet up to 2 ms. A cut over TCP must be worth it even if what it waits for them takes
 * half as long again as predicted. All-reduces over RDMA are known within some microseconds.
 */
const exchangeDoubt = 0.5;

/** What the objective counts, more is better: tokens a second, requests a second to the first token, tokens a joule. */
export const valueOf = (objective: Objective, predicted: Prediction): number => {
  switch (objective) {
    case 'TimeToFirstToken':
      return 1000 / predicted.timeToFirstTokenMilliseconds;
    case 'SingleStream':
      return predicted.decodeTokensPerSecond;
    case 'Efficiency':
      return 1 / predicted.joulesPerToken;
    default:
      return predicted.aggregateTokensPerSecond;
  }
};

/**
 * The value less what its nodes must earn, and what its exchange may take longer than said: the order in which options
 * are chosen.
 */
export const scoreOf = (
  objective: Objective,
  predicted: Prediction,
  { nodes, mode }: { nodes: number; mode: Plan['interconnectMode'] },
): number =>
  (valueOf(objective, predicted) * (1 - keepPerNode) ** (nodes - 1)) /
  (1 + doubtOf(objective, predicted, mode));

/** How much longer a token may take than predicted, as a share. */
const doubtOf = (
  objective: Objective,
  { interconnectShare }: Prediction,
  mode: Plan['interconnectMode'],
): number =>
  mode === 'TCP' && objective !== 'TimeToFirstToken' ? exchangeDoubt * interconnectShare : 0;

/** ", and 53 % of each token waits for TCP, which counts half as long again", where that counts. */
export const describeDoubt = (
  objective: Objective,
  predicted: Prediction,
  mode: Plan['interconnectMode'],
): string =>
  doubtOf(objective, predicted, mode) < 0.005
    ? ''
    : `, and the ${(100 * predicted.interconnectShare).toFixed(0)} % of each token that waits for TCP counts half as long again`;

/** "27.8 tok/s in all": the figure that the objective compares. */
export const describeValue = (objective: Objective, predicted: Prediction): string =>
  described(objective, predicted, 0);

/** Two of them, with as many digits as tell them apart; the usual ones for what differs less than anybody could measure. */
export const describeValues = (
  objective: Objective,
  left: Prediction,
  right: Prediction,
): [string, string] => {
  for (let more = 0; more <= mostFurtherDigits; more += 1) {
    const [a, b] = [described(objective, left, more), described(objective, right, more)];
    if (a !== b) return [a, b];
  }
  return [describeValue(objective, left), describeValue(objective, right)];
};

const mostFurtherDigits = 3;

const described = (objective: Objective, predicted: Prediction, more: number): string => {
  switch (objective) {
    case 'TimeToFirstToken':
      return `first token after ${(predicted.timeToFirstTokenMilliseconds / 1000).toFixed(2 + more)} s`;
    case 'SingleStream':
      return `${predicted.decodeTokensPerSecond.toFixed(1 + more)} tok/s for one request`;
    case 'Efficiency':
      return `${predicted.joulesPerToken.toFixed(1 + more)} J per token`;
    default:
      return `${predicted.aggregateTokensPerSecond.toFixed(1 + more)} tok/s in all`;
  }
};
