import type { Clock } from '../../base/clock.ts';

/** A signal that ends a piece of work in time, and at the latest when the work of which it is a part ends. */
export interface Deadline {
  signal: AbortSignal;
  /** Ends the work early; the first reason stays. */
  abort(reason: unknown): void;
  /** To be called when the work is over: frees the timer and the listener on the parent. */
  dispose(): void;
}

/** AbortSignal.timeout would use real time, and AbortSignal.any would leave listeners on a long-lived parent. */
export const startDeadline = (
  clock: Clock,
  afterMs: number,
  reason: () => Error,
  parent?: AbortSignal,
): Deadline => {
  const controller = new AbortController();
  const follow = () => controller.abort(parent?.reason);
  if (parent?.aborted) follow();
  parent?.addEventListener('abort', follow, { once: true });
  const cancel = clock.after(afterMs, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    abort: (why) => controller.abort(why),
    dispose: () => {
      cancel();
      parent?.removeEventListener('abort', follow);
    },
  };
};
