/**
 * The error catalogue: one entry per code, keys sorted. `kind` decides what a controller does:
 * `terminal` waits for the user, `waiting` looks again after a while, `retry` backs off and tries again.
 * Every code is documented in docs/errors.md; a test ties the two together.
 */
export const errorCatalogue = {
  AddonUnavailable: {
    kind: 'terminal',
    summary: 'The native addon is not built, or not for this machine.',
  },
  AddressInUse: { kind: 'retry', summary: 'A port that Espalier should listen on is taken.' },
  ApiFailed: {
    kind: 'retry',
    summary: 'The API server answered with an error of its own, or not in its protocol.',
  },
  ApiForbidden: {
    kind: 'waiting',
    summary: 'The API server knows this identity, and its rules do not allow the request.',
  },
  ApiGone: {
    kind: 'retry',
    summary: 'The API server no longer keeps the resourceVersion that was asked for.',
  },
  ApiInvalid: { kind: 'terminal', summary: 'The API server refused an object as not valid.' },
  ApiOverloaded: { kind: 'retry', summary: 'The API server asks for fewer requests.' },
  ApiResourceMissing: {
    kind: 'waiting',
    summary: 'The API server does not serve this kind: its CRD is not installed.',
  },
  ApiSchemaOutdated: {
    kind: 'waiting',
    summary:
      'The API server does not know a field that was written: its CRDs are older than Espalier.',
  },
  ApiUnauthorized: {
    kind: 'waiting',
    summary: 'The API server does not accept the credentials, or there are none to be had.',
  },
  ApiUnreachable: {
    kind: 'retry',
    summary: 'The API server did not answer in time, or the connection broke.',
  },
  CanaryFailed: {
    kind: 'retry',
    summary: 'A rank serves, but no token came through all ranks of its group in time.',
  },
  CatalogueInvalid: {
    kind: 'terminal',
    summary: 'A catalogue file cannot be read, or says something that no fact can be.',
  },
  ContextLengthExceeded: {
    kind: 'terminal',
    summary: 'A prompt does not fit in the context of the model.',
  },
  DaemonAlreadyRunning: { kind: 'retry', summary: 'Another daemon runs on this data directory.' },
  DataLost: {
    kind: 'retry',
    summary: 'A link swallows what one rank sends to another, though both live.',
  },
  DataNotWritable: { kind: 'retry', summary: 'The data directory is read-only, full or not ours.' },
  DuplicateNode: { kind: 'waiting', summary: 'Two daemons report under one node name.' },
  DuplicateRank: {
    kind: 'terminal',
    summary: 'A second process came as a rank that its group has already.',
  },
  EngineNotReady: { kind: 'waiting', summary: 'A rank takes no requests: it starts or stops.' },
  EngineOverloaded: {
    kind: 'waiting',
    summary: 'A group has no slot and no room to wait for another request.',
  },
  EngineUnavailable: {
    kind: 'terminal',
    summary: 'The engine of a rank is not on this node, or cannot run there.',
  },
  EpochFenced: { kind: 'terminal', summary: 'A newer control plane has taken over.' },
  FrameCorrupt: {
    kind: 'retry',
    summary: 'What came from another rank was damaged on the way.',
  },
  GroupAborted: { kind: 'retry', summary: 'A rank ended its group for a reason that it gave.' },
  HostRebooted: { kind: 'retry', summary: 'A rank ended because its host booted again.' },
  HostUnsupported: { kind: 'terminal', summary: 'The daemon runs on macOS and Linux only.' },
  HubNotLoopback: { kind: 'terminal', summary: 'The hub was asked to listen beyond this host.' },
  HubUnreachable: {
    kind: 'retry',
    summary: 'The hub did not answer a node daemon, or not in the node protocol.',
  },
  IndivisibleShard: {
    kind: 'terminal',
    summary: 'A model cannot be cut into that many tensor-parallel shards.',
  },
  Internal: { kind: 'retry', summary: 'A bug: an invariant of Espalier did not hold.' },
  InvalidArgument: {
    kind: 'terminal',
    summary: 'The native transport was given options or arguments that cannot work.',
  },
  InvalidDocument: { kind: 'retry', summary: 'A node document does not follow its schema.' },
  InvalidReport: { kind: 'terminal', summary: 'A node report does not follow its schema.' },
  KubeconfigInvalid: {
    kind: 'terminal',
    summary: 'No usable kubeconfig: missing, malformed or without the context asked for.',
  },
  LinkUnavailable: {
    kind: 'terminal',
    summary: 'Two ranks have no kind of link that both may use.',
  },
  LoadDeadlineExceeded: { kind: 'retry', summary: 'A rank did not load its weights in time.' },
  ModelConfigInvalid: {
    kind: 'terminal',
    summary: "A model's config.json is missing fields or malformed.",
  },
  ModelFileMissing: { kind: 'terminal', summary: 'A file that a model folder names is not there.' },
  ModelFileTruncated: {
    kind: 'terminal',
    summary: 'A file of weights is shorter than its own header says.',
  },
  ModelFolderMissing: {
    kind: 'terminal',
    summary: 'The model folder, or its config.json, is not there.',
  },
  ModelOutputInvalid: { kind: 'retry', summary: 'A model gave numbers that are not finite.' },
  MpiLibraryUnavailable: {
    kind: 'terminal',
    summary: 'The library that MLX opens as MPI is not built, or not for this machine.',
  },
  NodeNotDeclared: {
    kind: 'waiting',
    summary: 'A daemon reports under a name that no ClusterNode has.',
  },
  ObjectChanged: {
    kind: 'retry',
    summary: 'The object has changed since it was read, or another manager owns the field.',
  },
  ObjectConflict: {
    kind: 'retry',
    summary: 'An object of that name exists already and differs, or is being deleted.',
  },
  ObjectNotFound: { kind: 'retry', summary: 'The object to be changed is not in the store.' },
  OperationTimeout: {
    kind: 'retry',
    summary: 'A rank lives but did not take part in an exchange in time.',
  },
  OutOfDescriptors: {
    kind: 'retry',
    summary: 'A rank may not open as many files and sockets as its group needs.',
  },
  OutOfMemory: {
    kind: 'retry',
    summary: 'The system refused a thread, or memory for weights, KV cache or workspace.',
  },
  PeerLeft: { kind: 'retry', summary: 'A rank left its group while another still needed it.' },
  PeerLost: { kind: 'retry', summary: 'A rank died: its connections closed without a goodbye.' },
  PeerMismatch: { kind: 'terminal', summary: 'The ranks of a group made different calls.' },
  PeerStopped: {
    kind: 'retry',
    summary: 'A rank fell silent: it is stopped, or its host is down or cut off.',
  },
  PerfUnavailable: {
    kind: 'terminal',
    summary: 'The program espalier-perf is not built, or not for this machine.',
  },
  RankExited: { kind: 'retry', summary: 'The process of a rank ended by itself.' },
  RankNotStarted: { kind: 'retry', summary: 'The process of a rank could not be started.' },
  RankUnkillable: { kind: 'retry', summary: 'The process of a rank outlived SIGKILL.' },
  RankUnresponsive: {
    kind: 'retry',
    summary: 'The process of a rank exists but has stopped reporting.',
  },
  RendezvousDeadlineExceeded: {
    kind: 'retry',
    summary: 'The ranks of a group did not meet in time.',
  },
  RendezvousRefused: {
    kind: 'terminal',
    summary: 'A rank was refused by its group, or could not set itself up.',
  },
  RendezvousTimeout: { kind: 'retry', summary: 'Not all ranks of a group came together in time.' },
  RequestInvalid: { kind: 'terminal', summary: 'A request to an engine has a value out of range.' },
  SafetensorsInvalid: { kind: 'terminal', summary: 'A safetensors file or index is malformed.' },
  SourceNotAvailable: {
    kind: 'terminal',
    summary: 'The model URI has a scheme that cannot be read yet.',
  },
  StageDeadlineExceeded: {
    kind: 'retry',
    summary: 'The weights of a rank were not checked in time.',
  },
  StateLocked: { kind: 'terminal', summary: 'Another control plane runs on this state directory.' },
  StateNotFound: {
    kind: 'terminal',
    summary: 'No control plane has ever run on this state directory.',
  },
  StateNotWritable: {
    kind: 'retry',
    summary: 'The state directory is read-only, full or not ours.',
  },
  TensorMissing: {
    kind: 'terminal',
    summary: 'A tensor that config.json implies is in none of the files.',
  },
  TensorShapeMismatch: {
    kind: 'terminal',
    summary: 'A tensor has another type or shape than config.json implies.',
  },
  TokenizerInvalid: {
    kind: 'terminal',
    summary: "A model's tokenizer.json is missing, malformed or of another model.",
  },
  UnsupportedArchitecture: {
    kind: 'terminal',
    summary: 'The model is of a family, or uses a feature, that is not supported.',
  },
  WrongEpoch: { kind: 'terminal', summary: 'A rank belongs to another incarnation of its group.' },
  WrongSecret: { kind: 'terminal', summary: 'A rank does not hold the secret of its group.' },
  WrongSize: {
    kind: 'terminal',
    summary: 'A rank was started for another number of ranks than its group has.',
  },
} as const satisfies Record<string, { kind: ErrorKind; summary: string }>;

export type ErrorKind = 'terminal' | 'waiting' | 'retry';
export type ErrorCode = keyof typeof errorCatalogue;
export type Facts = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/**
 * The one error class. `message` says what was expected, what came, where, and what to do;
 * `facts` carries the same as fields (file, line, node, rank, bytes, …). Never a secret, never a prompt.
 */
export class EspalierError extends Error {
  readonly code: ErrorCode;
  readonly facts: Facts;

  constructor(code: ErrorCode, message: string, facts: Facts = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EspalierError';
    this.code = code;
    this.facts = facts;
  }

  get kind(): ErrorKind {
    return errorCatalogue[this.code].kind;
  }
}

/** The catalogue's kind for Espalier's own errors; everything else is worth a retry. */
export const errorKind = (error: unknown): ErrorKind =>
  error instanceof EspalierError ? error.kind : 'retry';

export const errorMessage = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** What a line of the log says of an error: the code to look up, and the message. */
export const errorFacts = (error: unknown): { code?: ErrorCode; error: string } => ({
  ...(error instanceof EspalierError ? { code: error.code } : {}),
  error: errorMessage(error),
});
