import { contentHash } from '../base/canonical-json.ts';
import type { ModelDeploymentSpec } from '../resources/types.ts';
import { cutRanks } from './cut.ts';
import { explainChoice } from './explain.ts';
import { rdmaGap } from './interconnect.ts';
import type { Transport } from './interconnect.ts';
import type { Option } from './search/option.ts';
import { strategyOf } from './shapes.ts';
import type { Plan, PlannedRank } from './types.ts';
import { wiredLimitMiB } from './wired-limit.ts';

/**
 * The plan that an option amounts to, but for what was rejected. `runnerUp` is what it was compared with; `isUnnamed`: no
 * engine of the catalogue names the model's architecture.
 */
export const decide = (
  option: Option,
  {
    spec,
    transport,
    isUnnamed,
    runnerUp,
  }: { spec: ModelDeploymentSpec; transport: Transport; isUnnamed: boolean; runnerUp?: Option },
): Omit<Plan, 'rejected'> => {
  const { shape, candidates, ranges, mode, hopMode, engagement, predicted } = option;
  const { engine, model, contextLength } = engagement.evaluator.demand;
  const ranksOnHost = Map.groupBy(candidates, ({ host }) => host);
  const ranks = cutRanks(shape, ranges, engagement.evaluator.memoryOf).flatMap(
    (rank): PlannedRank[] => {
      const candidate = candidates[rank.rank];
      if (!candidate) return [];
      const sharers = ranksOnHost.get(candidate.host)?.length ?? 1;
      const threads = Math.max(1, Math.floor(candidate.node.cpuCount / sharers));
      const wired = wiredLimitMiB(candidate, rank.memory, engine);
      return [
        {
          nodeName: candidate.node.name,
          ...rank,
          threads,
          ...(wired === undefined ? {} : { wiredLimitMiB: wired }),
        },
      ];
    },
  );
  const decided = {
    strategy: strategyOf(shape),
    ...shape,
    interconnectMode: mode,
    ...(hopMode ? { hopMode } : {}),
    engine: engine.name,
    contextLength,
    ranks,
  };
  const degradedBy: Plan['degradedBy'] =
    transport.degraded && mode === 'TCP' ? [...option.degradedBy, 'TCP'] : option.degradedBy;
  const gap = rdmaGap(
    shape,
    candidates.map(({ seat }) => seat),
  );
  const variable = predicted?.synchronizationMilliseconds ? engine.fastSynchVariable : undefined;
  const environment = variable === undefined ? {} : { environment: { [variable]: '1' } };
  const explanation = explainChoice({
    spec,
    model,
    shape,
    candidates,
    plan: { ...decided, ...environment, degradedBy, ...(predicted ? { predicted } : {}) },
    engine,
    isUnnamed,
    otherGroups: Math.max(...candidates.map(({ seat }) => seat.groups)),
    sharedNames: candidates.filter(({ siblings }) => siblings > 0).map(({ node }) => node.name),
    rdmaGap: gap ?? `engine ${engine.name} cannot exchange over RDMA yet`,
    ...(runnerUp?.predicted
      ? { runnerUp: { shape: runnerUp.shape, predicted: runnerUp.predicted } }
      : {}),
  });
  return {
    hash: hashOf(decided),
    ...decided,
    ...environment,
    degradedBy,
    explanation,
    ...(predicted ? { predicted } : {}),
  };
};

/** Over what is decided; memory follows from it, and prose does not count. */
const hashOf = ({ ranks, ...decided }: Pick<Plan, 'ranks'> & Record<string, unknown>): string =>
  contentHash({
    ...decided,
    ranks: ranks.map((rank) => ({ ...rank, memory: undefined, wiredLimitMiB: undefined })),
  });
