import type { ModelDeployment } from '../../resources/types.ts';
import { fetchReports } from '../reports.ts';

export interface RankFacts {
  node: string;
  pid: number;
  rank: number;
  residentBytes: number;
  shardBytes: number;
  allReduces: number;
}

/** What the nodes report of the deployment's ranks, by rank. */
export const rankFacts = async (
  hubUrl: string,
  deployment: ModelDeployment,
): Promise<RankFacts[]> => {
  const prefix = `${deployment.metadata.namespace ?? 'default'}/${deployment.metadata.name}/`;
  const reports = await fetchReports(hubUrl);
  return reports
    .flatMap(({ report }) =>
      report.ranks
        .filter(({ id }) => id.startsWith(prefix))
        .map(({ rank, pid, residentBytes, shardBytes, allReduces }) => ({
          node: report.nodeName,
          pid: pid ?? 0,
          rank,
          residentBytes: residentBytes ?? 0,
          shardBytes: shardBytes ?? 0,
          allReduces: allReduces ?? 0,
        })),
    )
    .toSorted((left, right) => left.rank - right.rank);
};
