/** Types of the native addon (native/addon/): what crosses from C++ to TypeScript and back. */

export interface NativeAddon {
  Engine: new (
    options: NativeEngineOptions,
    onEvent: (event: NativeEngineEvent) => void,
  ) => NativeEngine;
  /** Reads config.json and the headers of all files of weights, as the engine will. Rejects with a NativeError. */
  checkModel(folder: string): Promise<NativeModelFacts>;
}

export interface NativeModelFacts {
  architecture: string;
  vocabSize: number;
  maxPositions: number;
}

export interface NativeEngineOptions {
  group: {
    rank: number;
    size: number;
    /** Rank 0 listens here, all others dial it. Port 0: any free one. */
    rendezvousHost: string;
    rendezvousPort: number;
    /** Address that this rank's data sockets bind to and advertise. */
    dataHost: string;
    secret: string;
    /** Incarnation of the group: a rank with another epoch is refused. */
    epoch: number;
    /** Ranks with equal hostId may share memory. */
    hostId: string;
    /** Each pair takes the best link that both allow. */
    links: ('shm' | 'tcp')[];
    rendezvousTimeoutMs: number;
    /** Longest that one collective may wait for a live but busy peer. */
    operationTimeoutMs: number;
  };
  model: {
    folder: string;
    contextLength: number;
    /** Requests that are computed at once. */
    maxSequences: number;
    threads: number;
    shard: {
      tensorRank: number;
      tensorSize: number;
      stage: number;
      stageCount: number;
      firstLayer: number;
      /** One past its last layer. */
      endLayer: number;
    };
  };
  /** Requests that may wait beyond those that are computed. */
  maxWaiting: number;
}

export interface NativeRequest {
  promptTokens: Int32Array;
  stopTokenIds: Int32Array;
  maxTokens: number;
  /** 0: always the most likely token. */
  temperature: number;
  topP: number;
  seed: bigint;
}

/** Runs from construction on; see native/engine/engine.h. Keeps the process alive until its last event. */
export interface NativeEngine {
  /** Returns a handle. Throws an Error with `code`: EngineNotReady, EngineOverloaded, ContextLengthExceeded, RequestInvalid. */
  submit(request: NativeRequest): number;
  /** The request ends on all ranks; no further token events. Unknown handles are ignored. */
  cancel(handle: number): void;
  stats(): NativeEngineStats;
  /** Rank 0: all ranks leave in order. Other ranks leave when rank 0 does. Then comes the event `end`. */
  stop(): void;
  /** Ends the group on all ranks at once. */
  abort(reason: string): void;
}

export type NativeEngineEvent =
  | { type: 'listening'; port: number }
  | { type: 'phase'; phase: 'Rendezvous' | 'Loading' | 'Serving' }
  /** Triples (handle, token, finish): finish 0 goes on, else an index into `finishReasons`. */
  | { type: 'tokens'; tokens: Int32Array }
  /** The last one. Without `error`: stopped as asked. */
  | { type: 'end'; error?: NativeError };

/** `error`: the model's output was not finite numbers. */
export const finishReasons = [undefined, 'stop', 'length', 'error'] as const;

/** As native/status.h: guilty rank of the group, kind of link, and file, where there is one to blame. */
export interface NativeError extends Error {
  code: string;
  rank?: number;
  link?: string;
  file?: string;
}

export interface NativeEngineStats {
  shardBytes: number;
  cacheBytes: number;
  /** All-reduces that this rank has completed, in all of its groups. */
  allReduces: number;
  activeRequests: number;
  decodeTokensPerSecond: number;
  peers: {
    peerRank: number;
    kind: string;
    bytesSent: number;
    bytesReceived: number;
    stallUs: number;
  }[];
}
