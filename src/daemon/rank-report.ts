import type { EngineStatus } from '../engines/engine.ts';
import type { RankAssignment, RankError, RankReport, RankState } from '../nodedoc/types.ts';
import type { RankProcess } from './terminate.ts';

interface RankFacts {
  assignment: RankAssignment;
  state: RankState;
  process: RankProcess | undefined;
  status: EngineStatus | undefined;
  residentBytes: number | undefined;
  logPath: string;
  error: RankError | undefined;
}

/** What a rank reports. Engines are not ours: what they say of themselves is held to what a report may carry. */
export const rankReport = (facts: RankFacts): RankReport => {
  const { assignment, state, error } = facts;
  return {
    id: assignment.id,
    rank: assignment.rank,
    state,
    logPath: facts.logPath,
    ...(error && { error }),
    ...(facts.process && { pid: facts.process.pid, ...liveFields(facts) }),
  };
};

/** Only of a process that exists. */
const liveFields = ({
  assignment,
  state,
  status,
  residentBytes,
}: RankFacts): Partial<RankReport> => {
  const links = status?.links?.filter(({ peerRank }) => count(peerRank) !== undefined);
  return defined({
    rendezvousAddress: assignment.rank === 0 ? status?.rendezvousAddress : undefined,
    endpointUrl: assignment.rank === 0 && state === 'Ready' ? status?.endpointUrl : undefined,
    shardBytes: count(status?.shardBytes),
    residentBytes,
    allReduces: count(status?.allReduces),
    links: links?.map(({ peerRank, kind }) => ({ peerRank, kind: kind.slice(0, 32) })),
    decodeTokensPerSecond: rate(status?.decodeTokensPerSecond),
  });
};

const count = (value: number | undefined): number | undefined =>
  Number.isSafeInteger(value) && value! >= 0 ? value : undefined;

/** An engine that has decoded nothing yet says 0, which is no measurement. */
const rate = (value: number | undefined): number | undefined =>
  Number.isFinite(value) && value! > 0 ? value : undefined;

const defined = (fields: { [Name in keyof RankReport]?: RankReport[Name] | undefined }) =>
  Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Partial<RankReport>;
