import { CommandFailure, exitCodes } from './exit.ts';
import type { ReceivedReport } from '../controller/ports.ts';

/** The nodes' latest reports, from the hub of a running control plane. */
export const fetchReports = async (hubUrl: string): Promise<ReceivedReport[]> => {
  try {
    const response = await fetch(`${hubUrl}/v1/nodes`, { signal: AbortSignal.timeout(5_000) });
    return ((await response.json()) as { nodes: ReceivedReport[] }).nodes;
  } catch (error) {
    throw new CommandFailure(
      exitCodes.failure,
      `the control plane does not answer at ${hubUrl}; is "espalier up" running?`,
      { cause: error },
    );
  }
};
