import { setTimeout as sleep } from 'node:timers/promises';
import type { RankReport } from '../../nodedoc/types.ts';
import type { ModelDeployment } from '../../resources/types.ts';
import { fetchReports } from '../reports.ts';

export interface RankFacts {
  node: string;
  pid: number;
  rank: number;
  residentBytes: number;
  shardBytes: number;
}

/** Nodes report counters every two seconds while they change. */
const settleMs = 8_000;

/** What the nodes report of the deployment's ranks, by rank. */
export const rankFacts = async (
  hubUrl: string,
  deployment: ModelDeployment,
): Promise<RankFacts[]> =>
  (await ranksOf(hubUrl, deployment)).map(({ node, report }) => ({
    node,
    pid: report.pid ?? 0,
    rank: report.rank,
    residentBytes: report.residentBytes ?? 0,
    shardBytes: report.shardBytes ?? 0,
  }));

/** How many ranks of the deployment's present groups are Ready by their nodes' own word. */
export const servingRanks = async (
  hubUrl: string,
  deployment: ModelDeployment,
): Promise<number> => {
  const { groups } = deployment.status;
  return (await ranksOf(hubUrl, deployment)).filter(
    ({ report: { id, state } }) =>
      state === 'Ready' &&
      groups.some(({ index, incarnation }) => id.includes(`/${index}/${incarnation}/`)),
  ).length;
};

/** The same once the counters stand still: two equal readings of a number of all-reduces that is not 0. */
export const settledRankFacts = async (
  hubUrl: string,
  deployment: ModelDeployment,
): Promise<{ ranks: RankFacts[]; allReduces: number }> => {
  const deadlineMs = performance.now() + settleMs;
  let before = -1;
  for (;;) {
    const ranks = await ranksOf(hubUrl, deployment);
    const allReduces = Math.min(...ranks.map(({ report }) => report.allReduces ?? 0));
    if ((allReduces > 0 && allReduces === before) || performance.now() > deadlineMs) {
      return { ranks: await rankFacts(hubUrl, deployment), allReduces };
    }
    before = allReduces;
    await sleep(2_500);
  }
};

const ranksOf = async (
  hubUrl: string,
  deployment: ModelDeployment,
): Promise<{ node: string; report: RankReport }[]> => {
  const prefix = `${deployment.metadata.namespace}/${deployment.metadata.name}/`;
  return (await fetchReports(hubUrl))
    .flatMap(({ report: { nodeName, ranks } }) =>
      ranks.filter(({ id }) => id.startsWith(prefix)).map((report) => ({ node: nodeName, report })),
    )
    .toSorted((left, right) => left.report.rank - right.report.rank);
};
