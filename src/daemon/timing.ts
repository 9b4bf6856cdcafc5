/** Periods and limits of the daemon's own work; what belongs to one deployment is in its assignment. */
export interface DaemonTiming {
  /** Between two looks at a rank's process and status. */
  tickMs: number;
  /** A serving rank that has not written its status for this long is stuck. Five missed writes. */
  statusStaleMs: number;
  /** Between two canaries of a rank that serves. */
  livenessMs: number;
  /** Between two looks at memory and log size. */
  housekeepingMs: number;
  /** After SIGKILL: a process that lasts longer hangs in the kernel. */
  killMs: number;
  /** Age at which a report is sent again. It is looked at every `reportRefreshMs`: 10 s between two at most. */
  heartbeatMs: number;
  /** Between two reports, however much happens. */
  reportSpacingMs: number;
  /** Between two looks at what changes all the time, such as counters. */
  reportRefreshMs: number;
  /** How long a poll is held by the hub. */
  pollWaitMs: number;
  /** Longer than any answer of the hub takes. */
  requestTimeoutMs: number;
  /** Ceiling of the backoff against the hub. */
  retryMaxMs: number;
  /** How long the hub must be unreachable after our start before the kept document counts. */
  resumeAfterMs: number;
}

export const defaultTiming: DaemonTiming = {
  tickMs: 200,
  statusStaleMs: 5_000,
  livenessMs: 10_000,
  housekeepingMs: 5_000,
  killMs: 10_000,
  heartbeatMs: 8_000,
  reportSpacingMs: 50,
  reportRefreshMs: 2_000,
  pollWaitMs: 25_000,
  requestTimeoutMs: 10_000,
  retryMaxMs: 5_000,
  resumeAfterMs: 5_000,
};
