import type { RankAssignment } from '../nodedoc/types.ts';

/**
 * An engine runs one rank of one group as one process. The daemon owns the process: the engine only says
 * what to start and how to ask it how it is. Everything a daemon must know after its own restart is on disk
 * in `runDirectory`.
 */
export interface Engine {
  readonly name: string;
  readonly version: string;
  /** Undefined when this host can run it, else the reason with a remedy. */
  unavailable(): Promise<string | undefined>;
  /** Checks that the model is here, whole and of a kind this engine can run. Throws EspalierError. */
  stage(assignment: RankAssignment, signal: AbortSignal): Promise<{ sizeBytes: number }>;
  /** Command of the rank's process. Secrets go through files of mode 0600 in runDirectory, never through argv. */
  command(assignment: RankAssignment, runDirectory: string): Promise<RankCommand>;
  /** What the process says of itself now; undefined before it has said anything. */
  readStatus(runDirectory: string): Promise<EngineStatus | undefined>;
  /** Asks for one token through all ranks of the group whose rank 0 answers at endpointUrl. Throws EspalierError. */
  canary(endpointUrl: string, assignment: RankAssignment, signal: AbortSignal): Promise<void>;
}

export interface RankCommand {
  file: string;
  args: string[];
  env: Record<string, string>;
}

/**
 * The rank's own word, written atomically to `<runDirectory>/status.json` at each change and at least every
 * second, so that a daemon that was restarted reads it too.
 */
export interface EngineStatus {
  phase: 'Starting' | 'Rendezvous' | 'Loading' | 'Serving' | 'Failed';
  pid: number;
  rendezvousAddress?: string;
  endpointUrl?: string;
  shardBytes?: number;
  allReduces?: number;
  links?: { peerRank: number; kind: string }[];
  decodeTokensPerSecond?: number;
  error?: {
    code: string;
    message: string;
    terminal: boolean;
    guiltyRank?: number;
    link?: string;
    file?: string;
  };
}
