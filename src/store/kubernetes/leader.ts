import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { EspalierError, errorFacts, errorMessage } from '../../base/errors.ts';
import type { ErrorCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Random } from '../../base/random.ts';
import type { ApiClient } from './client.ts';
import { micro } from './event-recorder.ts';
import { epochAnnotation, epochOf, isFree, leaseAccess, nextEpoch, observe } from './lease.ts';
import type { Lease, LeaseAccess, Observed } from './lease.ts';
import { termOver } from './term.ts';
import type { Term } from './term.ts';

export interface LeaderOptions {
  /** Of its own: renewals must not wait behind other calls. */
  client: ApiClient;
  namespace: string;
  /** Of no other process that runs: its Lease is ours at once. */
  identity: string;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** After each look of one that waits: why it could not take the Lease over; undefined when it could. */
  onLook?: (problem: string | undefined) => void;
}

export interface Leadership extends Term {
  /**
   * After the term: resolves when the API server shows the Lease again, so that whoever is to lead next can, or when
   * the signal aborts.
   */
  succession(signal: AbortSignal): Promise<void>;
  /** Gives the Lease up, so that another takes it at once. Only when nothing is written any more. */
  release(): Promise<void>;
}

/** As client-go's defaults and kube-controller-manager's: 15 s, 10 s, 2 s. */
const leaseDurationSeconds = 15;
const renewDeadlineMs = 10_000;
const retryPeriodMs = 2000;
/** One attempt to renew: several fit into the deadline. */
const callDeadlineMs = 4000;
/** A server that has just started may refuse what it grants a moment later. */
const refusalPatienceMs = 15_000;
const leaseName = 'espalier-operator';
const notRenewed = `the Lease could not be renewed for ${renewDeadlineMs / 1000} s`;

/**
 * Waits until this process is the leader, by a Lease, and keeps it renewed. The term ends when no renewal has
 * come through for 10 s of our own monotonic clock, 5 s before anybody else may take the Lease, or at once when
 * somebody else has. Rejects with the signal's reason when that aborts first, and when the API server refuses the
 * Lease for the first 15 s: rights, credentials or a namespace are missing, and waiting mends none of them.
 */
export const becomeLeader = async (
  options: LeaderOptions,
  signal: AbortSignal,
): Promise<Leadership> => {
  const { clock, random, logger, identity, onLook = () => undefined } = options;
  const access = leaseAccess({ ...options, name: leaseName, deadlineMs: callDeadlineMs });
  const startedAtMs = clock.monotonicMs();
  let observed: Observed | undefined;
  let wasAllowed = false;
  for (;;) {
    signal.throwIfAborted();
    const askedAtMs = clock.monotonicMs();
    try {
      observed = observe(observed, await access.read(signal), clock.monotonicMs());
      if (isFree(observed, identity, clock.monotonicMs())) {
        const taken = await take(options, access, observed.lease, signal);
        if (taken) {
          logger.info({ identity, epoch: epochOf(taken) }, 'became leader');
          return new HeldLease(options, access, taken, askedAtMs);
        }
      }
      wasAllowed = true;
      onLook(undefined);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const isLate = clock.monotonicMs() - startedAtMs >= refusalPatienceMs;
      if (!wasAllowed && isLate && isRefusal(error)) throw cannotLead(options.namespace, error);
      onLook(errorMessage(error));
      logger.warn(errorFacts(error), 'lease not read');
    }
    await delay(clock, retryPeriodMs * (0.9 + 0.4 * random()), signal);
  }
};

const refusals: ReadonlySet<ErrorCode> = new Set([
  'ApiUnauthorized',
  'ApiForbidden',
  'ApiInvalid',
  'ApiResourceMissing',
  'ObjectNotFound',
]);

const isRefusal = (error: unknown): error is EspalierError =>
  error instanceof EspalierError && refusals.has(error.code);

const cannotLead = (namespace: string, { code, message, facts: known }: EspalierError) =>
  new EspalierError(
    code,
    `cannot use the Lease ${leaseName} in the namespace ${namespace}: ${message}`,
    known,
  );

const take = async (
  { identity, clock }: LeaderOptions,
  access: LeaseAccess,
  lease: Lease | undefined,
  signal: AbortSignal,
): Promise<Lease | undefined> => {
  const now = clock.now();
  const time = micro(now.toISOString());
  return access.write(
    lease,
    {
      annotations: { [epochAnnotation]: `${nextEpoch(lease, now)}` },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds,
        acquireTime: time,
        renewTime: time,
        leaseTransitions: (lease?.spec?.leaseTransitions ?? 0) + 1,
      },
    },
    signal,
  );
};

class HeldLease implements Leadership {
  readonly epoch: number;
  readonly #options: LeaderOptions;
  readonly #access: LeaseAccess;
  readonly #over = new AbortController();
  readonly #renewing: Promise<void>;
  #lease: Lease;
  #renewedAtMs: number;
  #cancelDeadline: () => void = () => undefined;
  #isReleased = false;

  constructor(options: LeaderOptions, access: LeaseAccess, lease: Lease, takenAtMs: number) {
    this.#options = options;
    this.#access = access;
    this.#lease = lease;
    this.epoch = epochOf(lease);
    this.#renewedAtMs = takenAtMs;
    this.#armDeadline();
    this.#renewing = this.#renewLoop();
  }

  /** Looks at the clock too: a process that was stopped for a while runs other things before its timers. */
  get signal(): AbortSignal {
    const silentMs = this.#options.clock.monotonicMs() - this.#renewedAtMs;
    if (silentMs >= renewDeadlineMs) this.#end(notRenewed);
    return this.#over.signal;
  }

  async release(): Promise<void> {
    const wasHeld = !this.#over.signal.aborted;
    this.#isReleased = true;
    this.#end('this process stops');
    await this.#renewing;
    if (!wasHeld) return;
    await this.#giveUp().catch((error: unknown) => {
      this.#options.logger.warn(errorFacts(error), 'lease not released');
    });
  }

  async succession(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#access.read(signal);
        return;
      } catch (error) {
        if (!signal.aborted) logger.warn(errorFacts(error), 'lease not read');
      }
      await delay(clock, retryPeriodMs * (0.9 + 0.4 * random()), signal);
    }
  }

  /** Whoever comes next would wait for its whole duration. */
  async #giveUp(): Promise<void> {
    const spec = { holderIdentity: '', leaseDurationSeconds: 1 };
    const { signal } = new AbortController();
    if (await this.#access.write(this.#lease, { spec }, signal)) return;
    // A renewal that was broken off may have reached the server.
    const lease = await this.#access.read(signal);
    const isOurs = lease?.spec?.holderIdentity === this.#options.identity;
    if (isOurs && epochOf(lease) === this.epoch) await this.#access.write(lease, { spec }, signal);
  }

  /** A timer of its own: a renewal that hangs must not outlive the deadline. */
  #armDeadline(): void {
    const { clock } = this.#options;
    this.#cancelDeadline();
    const leftMs = this.#renewedAtMs + renewDeadlineMs - clock.monotonicMs();
    this.#cancelDeadline = clock.after(leftMs, () => this.#end(notRenewed));
  }

  async #renewLoop(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#over;
    for (;;) {
      await delay(clock, retryPeriodMs, signal);
      if (signal.aborted) return;
      try {
        await this.#renew();
      } catch (error) {
        if (!signal.aborted) logger.warn(errorFacts(error), 'lease not renewed');
      }
    }
  }

  async #renew(): Promise<void> {
    const { clock, identity } = this.#options;
    // Counted from before the request: the server may have acted on it at once.
    const askedAtMs = clock.monotonicMs();
    const spec = { holderIdentity: identity, renewTime: micro(clock.now().toISOString()) };
    const renewed = await this.#access.write(this.#lease, { spec }, this.signal);
    if (renewed) {
      this.#lease = renewed;
      this.#renewedAtMs = askedAtMs;
      if (!this.signal.aborted) this.#armDeadline();
      return;
    }
    // Somebody wrote to it: another leader, a person, or we, and the answer was lost.
    const lease = await this.#access.read(this.signal);
    const holder = lease?.spec?.holderIdentity;
    if (lease && holder === identity && epochOf(lease) === this.epoch) this.#lease = lease;
    else this.#end(`the Lease is held by ${holder ?? 'nobody'}`);
  }

  #end(why: string): void {
    this.#cancelDeadline();
    if (this.#over.signal.aborted) return;
    if (!this.#isReleased) this.#options.logger.error({ epoch: this.epoch, why }, 'lost the lease');
    this.#over.abort(termOver(this.epoch, why));
  }
}
