import type { FastifyInstance } from 'fastify';

import type { Clock } from '../../base/clock.ts';
import { EspalierError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { NativeAddon, NativeEngine, NativeEngineEvent } from '../../transport/types.ts';
import type { EngineStatus } from '../engine.ts';
import { joinAddress, nativeOptions } from './launch.ts';
import type { RankLaunch } from './launch.ts';
import type { ModelTokenizer } from './model-tokenizer.ts';
import { StatusFile } from './status-file.ts';
import { TokenStreams, fromNative } from './token-streams.ts';

/** EX_SOFTWARE and EX_CONFIG of sysexits.h: another start may help, or it may not. */
const exitCodes = { failed: 70, failedForGood: 78 };
/** Time for the last answers and error events to reach their clients. */
const flushMs = 300;
/** A rank that has failed is gone after this long, whatever hangs. */
const watchdogMs = 2000;

export interface RankContext {
  launch: RankLaunch;
  runDirectory: string;
  loadAddon: () => NativeAddon;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Ends the process; does not return. */
  exit: (code: number) => void;
}

/** One rank from its start to its exit. Forward only: Starting, Rendezvous, Loading, Serving; Failed from anywhere. */
export class RankProcess {
  readonly #context: RankContext;
  readonly #status: StatusFile;
  #engine: NativeEngine | undefined;
  #streams: TokenStreams | undefined;
  #tokenizer: ModelTokenizer | undefined;
  #server: FastifyInstance | undefined;
  #phase: EngineStatus['phase'] = 'Starting';
  #isStopping = false;
  #isEnding = false;

  constructor(context: RankContext) {
    const { runDirectory, clock, logger } = context;
    this.#context = context;
    this.#status = new StatusFile({ runDirectory, clock, logger, counts: () => this.#counts() });
  }

  get #isFirst(): boolean {
    return this.#context.launch.assignment.rank === 0;
  }

  async start(): Promise<void> {
    this.#status.start();
    try {
      const { launch, loadAddon } = this.#context;
      const addon = loadAddon();
      if (this.#isFirst) {
        // Before the group forms: a wrong tokenizer should cost nobody the loading of weights.
        const { vocabSize } = await addon.checkModel(launch.modelFolder);
        const { loadModelTokenizer } = await import('./model-tokenizer.ts');
        this.#tokenizer = await loadModelTokenizer(launch.modelFolder, vocabSize);
      }
      this.#engine = new addon.Engine(nativeOptions(launch), (event) => this.#onEvent(event));
      this.#streams = new TokenStreams(this.#engine);
    } catch (error) {
      this.fail(error);
    }
  }

  /** SIGTERM: no new requests, time for the running ones, then the group leaves in order. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const { clock, exit, launch, logger } = this.#context;
    logger.info({ phase: this.#phase }, 'rank stops');
    if (this.#phase !== 'Serving') return exit(0);
    const patienceMs = launch.assignment.deadlines.stopGraceMs / 2;
    clock.after(patienceMs, () => this.#leaveNow());
    if (this.#isFirst) this.#stopWhenIdle();
  }

  /** Says why in the status, ends what runs with an error, and exits. */
  fail(error: unknown): void {
    if (this.#isEnding) return;
    const { logger, clock, exit } = this.#context;
    this.#phase = 'Failed';
    const reported = this.#describe(error);
    logger.error(reported, 'rank failed');
    this.#status.set({ phase: 'Failed', error: reported });
    const exitCode = reported.terminal ? exitCodes.failedForGood : exitCodes.failed;
    clock.after(watchdogMs, () => exit(exitCode));
    void this.#end(exitCode, error);
  }

  #onEvent(event: NativeEngineEvent): void {
    switch (event.type) {
      case 'listening':
        this.#status.set({
          rendezvousAddress: joinAddress(this.#context.launch.hostAddress, event.port),
        });
        return;
      case 'phase':
        if (event.phase === 'Serving') this.#serve().catch((error: unknown) => this.fail(error));
        else this.#enter(event.phase);
        return;
      case 'tokens':
        this.#streams?.deliver(event.tokens);
        return;
      case 'end':
        if (this.#isStopping || !event.error) void this.#end(0, event.error);
        else this.fail(event.error);
    }
  }

  async #serve(): Promise<void> {
    if (!this.#isFirst) return this.#enter('Serving');
    const { launch, clock, random, logger } = this.#context;
    const { model, contextLength, maxConcurrentRequests, deployment } = launch.assignment;
    const names = model.servedNames.length > 0 ? model.servedNames : [deployment];
    const [tokenizer, streams] = [this.#tokenizer!, this.#streams!];
    // Only here: followers need no HTTP, which is most of what a rank's process would load.
    const { createServer } = await import('./openai/server.ts');
    this.#server = createServer(
      { names, contextLength, tokenizer, streams, clock, random },
      { maxConcurrentRequests, isStopping: () => this.#isStopping, logger },
    );
    // The router, which is on this host or comes through its daemon, is the only client.
    const address = await this.#server.listen({ host: '127.0.0.1', port: 0 });
    this.#enter('Serving', { endpointUrl: `${address}/v1` });
  }

  #enter(phase: EngineStatus['phase'], change: Partial<EngineStatus> = {}): void {
    if (this.#phase === 'Failed') return;
    this.#phase = phase;
    this.#context.logger.info({ phase }, 'rank phase');
    this.#status.set({ phase, ...change });
  }

  #stopWhenIdle(): void {
    if (this.#streams!.size === 0) return this.#engine!.stop();
    this.#context.clock.after(20, () => this.#stopWhenIdle());
  }

  /** The time for an orderly leave is over. */
  #leaveNow(): void {
    const message = 'This group is stopping.';
    this.#streams?.failAll(new EspalierError('EngineNotReady', message));
    if (this.#isFirst) this.#engine?.stop();
    else this.#engine?.abort('this rank was told to stop, and rank 0 has not stopped the group');
  }

  async #end(exitCode: number, error: unknown): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const { clock, exit } = this.#context;
    const cause = error ?? new EspalierError('EngineNotReady', 'This group is stopping.');
    this.#streams?.failAll(fromNative(cause));
    clock.after(flushMs, () => exit(exitCode));
    await this.#server?.close().catch(() => undefined);
    exit(exitCode);
  }

  #describe(error: unknown): NonNullable<EngineStatus['error']> {
    const known = error instanceof EspalierError ? error : fromNative(error);
    const { rank, link, file } = known.facts as { rank?: number; link?: string; file?: string };
    return {
      code: known.code,
      message: known.message,
      // What the files of a model hold does not change by a restart.
      terminal: known.kind === 'terminal' || file !== undefined,
      ...(rank !== undefined && { guiltyRank: rank }),
      ...(link !== undefined && { link }),
      ...(file !== undefined && { file }),
    };
  }

  #counts(): Partial<EngineStatus> {
    if (!this.#engine) return {};
    const stats = this.#engine.stats();
    return {
      shardBytes: stats.shardBytes,
      allReduces: stats.allReduces,
      links: stats.peers.map(({ peerRank, kind }) => ({ peerRank, kind })),
      decodeTokensPerSecond: Math.round(stats.decodeTokensPerSecond * 10) / 10,
    };
  }
}
