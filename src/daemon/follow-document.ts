import { delay } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError, errorMessage } from '../base/errors.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { backoffMs } from '../base/random.ts';
import type { Random } from '../base/random.ts';
import type { NodeDocument } from '../nodedoc/types.ts';
import type { DocumentAnswer, HubClient } from './hub-client.ts';
import type { KeptDocument } from './kept-document.ts';
import type { DaemonTiming } from './timing.ts';

interface FollowOptions {
  clock: Clock;
  logger: Logger;
  random: Random;
  timing: DaemonTiming;
  client: HubClient;
  kept: KeptDocument;
  /** Durable when it resolves. Throws DataNotWritable. */
  keep: (kept: KeptDocument) => Promise<void>;
  apply: (document: NodeDocument) => void;
  /** The kept document may be acted upon: the hub says it is current, or has been silent for long enough. */
  allowStarts: () => void;
  /** Posts a report now. Throws as HubClient.report does. */
  reportNow: () => Promise<void>;
  /** Told what keeps us from following, undefined when nothing does. */
  onProblem: (error: EspalierError | undefined) => void;
  signal: AbortSignal;
}

/**
 * Follows the hub until aborted: asks for the document, keeps it, acts on it. Never ends because of the
 * hub. A document counts only from a control plane that is not older than any we have seen.
 *
 * After our own start the kept document only stops ranks and keeps adopted ones. It starts some once the
 * hub has confirmed it: a node that comes back late must not start a second copy of what has moved
 * elsewhere. When no hub is there to ask for `resumeAfterMs`, the kept document counts, so that a site
 * comes back after a power cut without its control plane.
 */
export const followDocument = async (options: FollowOptions): Promise<void> => {
  const { clock, logger, random, timing, signal } = options;
  const follower = new Follower(options);
  const cancelResume = clock.after(timing.resumeAfterMs, () => follower.resumeWithoutHub());
  let attempt = 0;
  let lastReason = '';
  while (!signal.aborted) {
    try {
      const pauseMs = await follower.step();
      attempt = 0;
      lastReason = '';
      await delay(clock, pauseMs, signal);
    } catch (error) {
      if (signal.aborted) break;
      const reason = errorMessage(error);
      if (reason !== lastReason)
        logger.warn({ reason }, 'cannot follow the hub; ranks keep running');
      lastReason = reason;
      const waitMs = backoffMs(attempt, { baseMs: 100, maxMs: timing.retryMaxMs }, random);
      attempt += 1;
      await delay(clock, waitMs, signal);
    }
  }
  cancelResume();
};

/** Errors that do not come from a live control plane; one that refuses us (DuplicateNode) is alive. */
const saysNothing: ReadonlySet<ErrorCode> = new Set(['HubUnreachable', 'EpochFenced']);

/** However fast the hub answers. */
const minPauseMs = 20;

class Follower {
  readonly #options: FollowOptions;
  #kept: KeptDocument;
  /** After the first answer the hub may hold our polls; before, we need to know at once where we stand. */
  #mayWait = false;
  /** The hub has said that it starts: from then on it may hold our polls until it is open. */
  #isHubStarting = false;
  /** A live control plane has answered, if only to say that it has not decided yet. */
  #hasHub = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#kept = options.kept;
  }

  resumeWithoutHub(): void {
    if (this.#hasHub || !this.#kept.document) return;
    this.#options.logger.warn({}, 'no hub since the start; resuming the kept document');
    this.#options.allowStarts();
  }

  /** One question to the hub and what follows from it. Resolves with how long to wait before the next. */
  async step(): Promise<number> {
    const { client, timing, signal, onProblem } = this.#options;
    try {
      const answer = await client.document({
        knownVersion: this.#kept.document?.version ?? '',
        knownEpoch: this.#kept.epoch,
        waitMs: this.#mayWait || this.#isHubStarting ? timing.pollWaitMs : 0,
        signal,
      });
      this.#requireCurrent(answer.epoch);
      this.#hasHub = true;
      if (answer.kind !== 'NotServing') this.#isHubStarting = false;
      const pauseMs = await this.#handle(answer);
      onProblem(undefined);
      return pauseMs;
    } catch (error) {
      if (!signal.aborted && error instanceof EspalierError) {
        this.#hasHub ||= !saysNothing.has(error.code);
        // By the time a report arrives, the hub is reached.
        onProblem(error.code === 'HubUnreachable' ? undefined : error);
      }
      throw error;
    }
  }

  async #handle(answer: DocumentAnswer): Promise<number> {
    const { apply, logger, reportNow } = this.#options;
    switch (answer.kind) {
      case 'Document':
        await this.#keep({ epoch: answer.epoch, document: answer.document });
        apply(answer.document);
        this.#confirm();
        return minPauseMs;
      case 'Unchanged':
        if (answer.epoch > this.#kept.epoch) {
          await this.#keep({ ...this.#kept, epoch: answer.epoch });
        }
        this.#confirm();
        return minPauseMs;
      case 'ReportFirst':
        await reportNow();
        return minPauseMs;
      case 'NotServing': {
        const isFirst = !this.#isHubStarting;
        this.#isHubStarting = true;
        return isFirst ? minPauseMs : answer.retryAfterMs;
      }
      default:
        if (!this.#mayWait) logger.warn({ reason: answer.message }, 'node is not declared');
        this.#mayWait = true;
        return minPauseMs;
    }
  }

  #confirm(): void {
    this.#mayWait = true;
    this.#options.allowStarts();
  }

  async #keep(kept: KeptDocument): Promise<void> {
    await this.#options.keep(kept);
    this.#kept = kept;
  }

  #requireCurrent(epoch: number): void {
    if (epoch >= this.#kept.epoch) return;
    throw new EspalierError(
      'EpochFenced',
      `the hub belongs to a control plane of epoch ${epoch}, but this node has followed epoch ` +
        `${this.#kept.epoch}: an old control plane still runs, or its state was lost; stop it, or ` +
        'bring its state directory back',
      { epoch, seenEpoch: this.#kept.epoch },
    );
  }
}
