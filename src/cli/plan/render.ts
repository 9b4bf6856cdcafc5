import { formatBytes } from '../../base/quantity.ts';
import type { PlacedGroup } from '../../planner/fleet/preemption.ts';
import type { Prediction } from '../../planner/prediction.ts';
import { shapeLabel } from '../../planner/shapes.ts';
import type { Plan, PlanOption, PlanResult } from '../../planner/types.ts';
import { victimsText } from '../fleet/live-room.ts';
import { table } from '../output.ts';

/**
 * What `espalier plan` prints: the winner, every option with its figures, and why each other one lost; of several
 * groups all that of the first, and a line for each.
 */
export const renderPlan = (result: PlanResult, groups: readonly PlanResult[] = []): string => {
  const sections = result.ok
    ? [
        winner(result.plan),
        ranks(result.plan),
        result.plan.explanation,
        groupTable(groups),
        optionTable(result.options),
      ]
    : [
        `No plan: ${result.reason}${result.terminal ? ' (the deployment must change)' : ''}`,
        result.message,
        result.options.some(({ predicted }) => predicted) ? optionTable(result.options) : '',
      ];
  const reasons = whyNot(result);
  return `${[...sections, reasons].filter((section) => section !== '').join('\n\n')}\n`;
};

/** Cables that carry less than they could, each with what is missing. */
export const renderGaps = (gaps: readonly string[]): string => {
  const shown = gaps.slice(0, mostGaps);
  const more = gaps.length - shown.length;
  const lines = [...shown, ...(more > 0 ? [`and ${more} more`] : [])];
  return `\nCables without RDMA\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
};

/** Who runs there now. */
export const renderVictims = (victims: readonly PlacedGroup[]): string =>
  `Of lower priority, and would have to leave for it: ${victimsText(victims)}\n`;

/** -o json has all. */
const mostGaps = 12;

const winner = (plan: Plan): string => {
  const degraded = plan.degradedBy.length > 0 ? `, degraded by ${plan.degradedBy.join(', ')}` : '';
  const title = `Plan: ${optionLabel(plan)}, engine ${plan.engine}${degraded}`;
  return plan.predicted ? `${title}\n${figures(plan.predicted)}` : title;
};

const figures = (predicted: Prediction): string => {
  const {
    decodeTokensPerSecond: speed,
    decodeTokensPerSecondLow: low,
    decodeTokensPerSecondHigh: high,
    interconnectShare,
    usdPerMillionTokens: price,
  } = predicted;
  return [
    `Predicted: ${rate(speed)} tokens/s for one request (${rate(low)} to ${rate(high)})`,
    `${rate(predicted.aggregateTokensPerSecond)} for all together`,
    `first token after ${seconds(predicted.timeToFirstTokenMilliseconds)} (prompt of ${predicted.promptTokens})`,
    `${predicted.powerWatts.toFixed(0)} W`,
    `${predicted.joulesPerToken.toFixed(1)} J a token`,
    ...(price === undefined ? [] : [`${price.toFixed(2)} USD per million tokens`]),
    ...(interconnectShare > 0
      ? [`${(100 * interconnectShare).toFixed(0)} % of it waiting for the interconnect`]
      : []),
  ].join(', ');
};

/** "Tensor 4 over RDMA". */
const optionLabel = (
  option: Pick<PlanOption, 'tensorSize' | 'pipelineSize' | 'interconnectMode'>,
): string =>
  option.interconnectMode === 'None'
    ? shapeLabel(option)
    : `${shapeLabel(option)} over ${option.interconnectMode}`;

const groupTable = (groups: readonly PlanResult[]): string =>
  groups.length < 2
    ? ''
    : table(
        ['group', 'plan', 'engine', 'nodes', 'tok/s', 'all', 'ttft'],
        groups.map((group, index) => {
          if (!group.ok) return [String(index), group.reason, '-', '-', '-', '-', '-'];
          const { plan } = group;
          const [, decode = '-', all = '-', first = '-'] = predictedCells(plan.predicted);
          const nodes = shortNames(plan.ranks.map(({ nodeName }) => nodeName));
          return [String(index), optionLabel(plan), plan.engine, nodes, decode, all, first];
        }),
      );

/** What was ruled out before nodes were looked for has no figures: it stands under "Why not" alone. */
const optionTable = (all: readonly PlanOption[]): string => {
  const options = all.filter(
    ({ verdict, nodeNames }) => verdict !== 'Rejected' || nodeNames.length > 0,
  );
  return options.length === 0
    ? ''
    : table(
        [
          'option',
          'engine',
          'nodes',
          'memory',
          'all-reduce',
          'tok/s',
          'all',
          'ttft',
          'watts',
          'verdict',
        ],
        options.map((option) => [
          optionLabel(option),
          option.engine,
          shortNames(option.nodeNames),
          option.memoryBytes === undefined ? '-' : formatBytes(option.memoryBytes),
          ...predictedCells(option.predicted),
          verdictOf(option),
        ]),
      );
};

const verdictOf = ({ verdict, reason }: PlanOption): string =>
  verdict === 'Chosen' || reason === 'LessForObjective' ? verdict : reason;

const predictedCells = (predicted: Prediction | undefined): string[] =>
  predicted === undefined
    ? ['-', '-', '-', '-', '-']
    : [
        predicted.allReduceMicroseconds > 0
          ? `${predicted.allReduceMicroseconds.toFixed(0)} µs`
          : '-',
        rate(predicted.decodeTokensPerSecond),
        rate(predicted.aggregateTokensPerSecond),
        seconds(predicted.timeToFirstTokenMilliseconds),
        predicted.powerWatts.toFixed(0),
      ];

const ranks = (plan: Plan): string =>
  table(
    ['rank', 'node', 'layers', 'threads', 'weights', 'kv cache', 'workspace', 'total'],
    plan.ranks.map(({ rank, nodeName, firstLayer, endLayer, threads, memory }) => [
      String(rank),
      nodeName,
      `${firstLayer}-${endLayer - 1}`,
      String(threads),
      formatBytes(memory.shardedWeightsBytes + memory.replicatedWeightsBytes),
      formatBytes(memory.kvCacheBytes),
      formatBytes(memory.workspaceBytes),
      formatBytes(memory.totalBytes),
    ]),
  );

/** A line for each constraint that ruled something out, with the engines that it holds for. */
const whyNot = (result: PlanResult): string => {
  const { rejected } = result.ok ? result.plan : result;
  const lost = result.options.filter(
    ({ verdict, reason }) => verdict !== 'Chosen' && reason !== 'LessForObjective',
  );
  const explained = new Set(lost.map(({ message }) => message));
  const lines = [
    ...[...Map.groupBy(lost, (option) => `${placeLabel(option)}\n${option.message}`).values()].map(
      (group) => {
        const [first] = group;
        const engines = [...new Set(group.map(({ engine }) => engine))].join(', ');
        return first && `${placeLabel(first)} (${engines}): ${first.reason}: ${first.message}`;
      },
    ),
    ...rejected
      .filter(({ message }) => !explained.has(message))
      .map(({ option, reason, message }) => `${option}: ${reason}: ${message}`),
  ];
  return lines.length === 0 ? '' : `Why not\n${lines.map((line) => `  ${line}`).join('\n')}`;
};

/** Why a cut cannot be has nothing to do with what its ranks would exchange over, but for cables that are missing. */
const placeLabel = (option: PlanOption): string =>
  option.expertSize !== undefined
    ? `Expert ${option.expertSize}`
    : option.verdict === 'Rejected' && option.interconnectMode !== 'RDMA'
      ? shapeLabel(option)
      : optionLabel(option);

/** Up to three names; of more the first and how many. */
const shortNames = (names: readonly string[]): string => {
  if (names.length === 0) return '-';
  return names.length <= 3 ? names.join(',') : `${names[0]} + ${names.length - 1}`;
};

/** Three digits that mean something. */
const rate = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

const seconds = (milliseconds: number): string => {
  const value = milliseconds / 1000;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} s`;
};
