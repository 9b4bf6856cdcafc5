import type { Clock } from '../../src/base/clock.ts';

/**
 * The clock of one process: the world's, until the process is stopped (SIGSTOP). Then nothing falls due; when it goes
 * on, all that did is made up for, before or after what came in over the network meanwhile.
 */
export class ReplicaClock implements Clock {
  readonly #base: Clock;
  #wallOffsetMs = 0;
  #state: 'running' | 'paused' | 'ended' = 'running';
  #timers: (() => void)[] = [];
  #arrivals: (() => void)[] = [];

  constructor(base: Clock) {
    this.#base = base;
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  monotonicMs(): number {
    return this.#base.monotonicMs();
  }

  now(): Date {
    return new Date(this.#base.now().getTime() + this.#wallOffsetMs);
  }

  /** Sets wall time forward or back. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  after(delayMs: number, callback: () => void): () => void {
    let isCancelled = false;
    const fire = () => {
      if (isCancelled || this.#state === 'ended') return;
      if (this.#state === 'paused') this.#timers.push(fire);
      else callback();
    };
    const cancel = this.#base.after(delayMs, fire);
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  /** Resolves when the process runs: at once, or when it goes on, or never. */
  async awake(): Promise<void> {
    if (this.#state === 'running') return;
    return new Promise((resolve) => this.#arrivals.push(resolve));
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
  }

  resume(isNetworkFirst: boolean): void {
    if (this.#state !== 'paused') return;
    this.#state = 'running';
    const [timers, arrivals] = [this.#timers.splice(0), this.#arrivals.splice(0)];
    const due = isNetworkFirst ? [...arrivals, ...timers] : [...timers, ...arrivals];
    for (const callback of due) this.#base.after(0, callback);
  }

  /** SIGKILL: nothing of this process ever happens again. */
  end(): void {
    this.#state = 'ended';
    this.#timers = [];
    this.#arrivals = [];
  }
}
