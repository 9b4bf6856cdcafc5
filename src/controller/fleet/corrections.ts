import { correctionOf } from '../../planner/performance/correction.ts';
import type { Correction, Observation } from '../../planner/performance/correction.ts';
import type { ModelDeployment } from '../../resources/types.ts';
import type { Fleet } from './fleet.ts';

/** Factors are rounded to this: together with the step in status.observed, a speed that wavers changes no plan. */
const step = 0.05;

/**
 * What the fleet measured beside what was predicted, per chip, engine and family: from the status of all
 * deployments, so that nothing else is kept and another control plane finds the same. Only groups that run on
 * one sort of chip teach; of what was predicted the correction of then is taken out again. Running groups are
 * never moved for it: it weighs when a group is planned.
 */
export const correctionsFrom = (
  deployments: readonly ModelDeployment[],
  fleet: Fleet,
): Correction[] => {
  const found = deployments.flatMap((deployment) => observe(deployment, fleet));
  const grouped = Map.groupBy(found, ({ about }) => JSON.stringify(about));
  return [...grouped.values()].flatMap((same): Correction[] => {
    const factor = correctionOf(same);
    const [first] = same;
    return first && factor !== undefined
      ? [{ ...first.about, factor: Math.round(factor / step) * step }]
      : [];
  });
};

interface Observed extends Observation {
  about: Omit<Correction, 'factor'>;
}

/** One for each Ready group, since their mean is of so many measurements. */
const observe = ({ status }: ModelDeployment, fleet: Fleet): Observed[] => {
  const { plan, observed, resolvedModel, groups } = status;
  const observedTokensPerSecond = Number(observed?.decodeTokensPerSecond);
  const corrected = Number(plan?.predicted?.decodeTokensPerSecond);
  const predictedTokensPerSecond = corrected / Number(plan?.predicted?.correction ?? 1);
  if (!plan || !resolvedModel || !(observedTokensPerSecond > 0 && corrected > 0)) return [];
  return groups.flatMap(({ state, engine = plan.engine, members }): Observed[] => {
    if (state !== 'Ready') return [];
    const hosts = members.map(({ nodeName }) => fleet.get(nodeName)?.report?.host);
    const chips = new Set(hosts.map((host) => host?.chip.replace(/^Apple /, '')));
    const [chip] = chips;
    if (chips.size !== 1 || chip === undefined || chip === '') return [];
    const about = { chip, engine, architecture: resolvedModel.architecture };
    return [{ about, observedTokensPerSecond, predictedTokensPerSecond }];
  });
};
