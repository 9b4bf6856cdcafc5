import type { Random } from '../../src/base/random.ts';
import type {
  NodeDocument,
  NodeReport,
  RankAssignment,
  RankError,
  RankReport,
  RankState,
} from '../../src/nodedoc/types.ts';
import { nodeReport } from './node-documents.ts';

const GiB = 2 ** 30;

/** The process of a rank on a simulated node. */
export interface SimRank {
  assignment: RankAssignment;
  state: RankState;
  error?: RankError;
  /** No sooner than this does it take its next step. */
  nextMs: number;
}

/** What a node asks of the world around it. */
export interface World {
  nowMs: () => number;
  random: Random;
  /** The ranks of one start of a group, wherever they run. */
  peers: (assignment: RankAssignment) => SimRank[];
  /** How the ranks of a revision fail instead of becoming Ready, if they do. */
  poison: (assignment: RankAssignment) => RankError | undefined;
}

/** A node daemon that obeys its documents with random delays; it can be killed, rebooted and cut off. */
export class SimNode {
  readonly name: string;
  readonly #world: World;
  #boots = 1;
  #daemonStarts = 1;
  #epoch = 0;
  #version = '';
  #desired: RankAssignment[] = [];
  readonly ranks = new Map<string, SimRank>();
  isUp = true;
  /** Cut off: neither documents nor reports get through. */
  isCutOff = false;
  memoryBytes = 48 * GiB;
  /** Replaces what it says of its machine. */
  host: Partial<NodeReport['host']> = {};
  /** What its ranks measure. */
  decodeTokensPerSecond: number | undefined;

  constructor(name: string, world: World) {
    this.name = name;
    this.#world = world;
  }

  /** As the daemon does: refuses older epochs, keeps the rest on disk. */
  receive(document: NodeDocument): void {
    if (document.epoch < this.#epoch) return;
    this.#epoch = document.epoch;
    this.#version = document.version;
    this.#desired = document.ranks;
  }

  crash(): void {
    this.isUp = false;
    this.ranks.clear();
  }

  boot(): void {
    this.isUp = true;
    this.#boots += 1;
  }

  /** The daemon ends and starts again; it takes up the ranks that still run. */
  restartDaemon(): void {
    this.#daemonStarts += 1;
  }

  /** SIGKILL to one rank. */
  kill(id: string): void {
    const rank = this.ranks.get(id);
    if (!rank || rank.state === 'Failed') return;
    this.#fail(rank, {
      code: 'RankExited',
      message: 'the process ended',
      terminal: false,
      signal: 'SIGKILL',
    });
  }

  step(): void {
    if (!this.isUp) return;
    const desired = new Map(this.#desired.map((assignment) => [assignment.id, assignment]));
    for (const [id, rank] of this.ranks) {
      const update = desired.get(id);
      if (update) rank.assignment = update;
      this.#advance(id, rank, update !== undefined);
    }
    for (const [id, assignment] of desired) {
      if (!this.ranks.has(id)) {
        this.ranks.set(id, { assignment, state: 'Pending', nextMs: this.#soon() });
      }
    }
  }

  /** Of the document that it obeys. */
  get observedVersion(): string {
    return this.#version;
  }

  report(): NodeReport {
    return nodeReport({
      nodeName: this.name,
      instanceID: `instance-${this.name}-${this.#daemonStarts}`,
      bootId: `boot-${this.#boots}`,
      observedEpoch: this.#epoch,
      observedVersion: this.#version,
      host: {
        ...nodeReport().host,
        hostID: `host-${this.name}`,
        memoryBytes: this.memoryBytes,
        ...this.host,
      },
      engines: [{ name: 'BuiltIn', version: '0.1.0' }],
      ranks: [...this.ranks.entries()].map(([id, rank]) => ({
        ...rankReport(id, rank),
        ...(this.decodeTokensPerSecond === undefined
          ? {}
          : { decodeTokensPerSecond: this.decodeTokensPerSecond }),
      })),
    });
  }

  #advance(id: string, rank: SimRank, isDesired: boolean): void {
    if (this.#world.nowMs() < rank.nextMs) return;
    if (!isDesired) {
      if (rank.state === 'Failed' || rank.state === 'Stopping') this.ranks.delete(id);
      else this.#enter(rank, 'Stopping');
      return;
    }
    const peers = this.#world.peers(rank.assignment);
    const lost = this.#lostPeer(rank, peers);
    if (lost) return this.#fail(rank, lost);
    const next = this.#next(rank, peers);
    if (!next) return;
    const poison = next === 'Loading' ? this.#world.poison(rank.assignment) : undefined;
    if (poison) this.#fail(rank, poison);
    else this.#enter(rank, next);
  }

  /** Once met, the loss of one is the end of all. */
  #lostPeer({ state, assignment }: SimRank, peers: SimRank[]): RankError | undefined {
    if (!['Loading', 'Canary', 'Ready'].includes(state)) return undefined;
    const alive = new Set(
      peers.filter((peer) => peer.state !== 'Failed').map((peer) => peer.assignment.rank),
    );
    const missing = Array.from({ length: assignment.worldSize }, (_, rank) => rank).find(
      (rank) => !alive.has(rank),
    );
    if (missing === undefined) return undefined;
    return { code: 'RankExited', message: 'a peer is gone', terminal: false, guiltyRank: missing };
  }

  #next({ state, assignment }: SimRank, peers: SimRank[]): RankState | undefined {
    const everybody = (...states: RankState[]): boolean =>
      peers.filter((peer) => states.includes(peer.state)).length === assignment.worldSize;
    switch (state) {
      case 'Pending':
        return assignment.rank === 0 || assignment.rendezvous.address ? 'Staging' : undefined;
      case 'Staging':
        return 'Rendezvous';
      case 'Rendezvous':
        return everybody('Rendezvous', 'Loading', 'Canary', 'Ready') ? 'Loading' : undefined;
      case 'Loading':
        return assignment.rank === 0 ? 'Canary' : 'Ready';
      case 'Canary':
        return everybody('Canary', 'Ready') ? 'Ready' : undefined;
      default:
        return undefined;
    }
  }

  #enter(rank: SimRank, state: RankState): void {
    rank.state = state;
    rank.nextMs = this.#soon();
  }

  #fail(rank: SimRank, error: RankError): void {
    rank.state = 'Failed';
    rank.error = error;
    rank.nextMs = 0;
  }

  #soon(): number {
    return this.#world.nowMs() + this.#world.random() * 3000;
  }
}

const rankReport = (id: string, { assignment, state, error }: SimRank): RankReport => ({
  id,
  rank: assignment.rank,
  state,
  ...(assignment.rank === 0 && state !== 'Pending'
    ? { rendezvousAddress: `127.0.0.1:${4000 + assignment.incarnation}` }
    : {}),
  ...(assignment.rank === 0 && state === 'Ready'
    ? {
        endpointUrl: `http://127.0.0.1:${5000 + 100 * assignment.groupIndex + assignment.incarnation}/v1`,
      }
    : {}),
  ...(error ? { error } : {}),
});
