import type { Refusal } from './refusal.ts';
import { toRejection } from './refusal.ts';
import type { PlanResult, Rejection } from './types.ts';

const mostRejections = 48;

/**
 * The answer when no option works. Terminal only if every option is: then neither a node that comes back nor
 * load that goes away can help. Otherwise the cut that was asked for speaks for all, or, where several would
 * have done, the one that came closest by memory.
 */
export const refuse = (
  options: readonly Refusal[],
  excluded: readonly Refusal[],
  { exact }: { exact: boolean },
): PlanResult => {
  const hopeful = options.filter(({ terminal }) => !terminal);
  const terminal = hopeful.length === 0;
  const closest = hopeful
    .filter(({ shortBytes }) => shortBytes !== undefined)
    .toSorted((a, b) => (a.shortBytes ?? 0) - (b.shortBytes ?? 0))[0];
  const spokesman = (exact ? undefined : closest) ?? mostTelling(hopeful) ?? mostTelling(options);
  if (!spokesman) throw new Error('a refusal needs at least one refused option');
  const others = options.length - 1;
  const closestOf = exact ? '' : `No cut fits; closest of ${options.length}: `;
  const neither = exact ? `; nor does anything less (${others} tried)` : '';
  return {
    ok: false,
    reason: spokesman.reason,
    message: `${others > 0 ? closestOf : ''}${spokesman.option}: ${spokesman.message}${others > 0 ? neither : ''}`,
    terminal,
    rejected: listRejections(options, excluded),
    options: [],
  };
};

/** What was wrong with a cut says more than that some engine does not read the model at all. */
const mostTelling = (refusals: readonly Refusal[]): Refusal | undefined =>
  refusals.find(({ shape }) => shape !== undefined) ?? refusals[0];

/** What was tried, then which nodes were left out; bounded, because it is kept in status. */
export const listRejections = (
  options: readonly Refusal[],
  excluded: readonly Refusal[],
): Rejection[] => {
  const all = [...options, ...excluded].map(toRejection);
  if (all.length <= mostRejections) return all;
  const kept = all.slice(0, mostRejections - 1);
  const last = all[mostRejections - 1];
  const more = all.length - kept.length;
  return [
    ...kept,
    {
      option: `${more} more`,
      reason: last?.reason ?? '',
      message: `${more} more options or nodes were rejected; the first: ${last?.option}: ${last?.message}`,
    },
  ];
};
