import type { Logger } from '../../base/logger.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Clock } from '../../base/clock.ts';
import type { EventInput, StoredEvent } from '../../controller/ports.ts';
import { conditionTime } from '../../resources/conditions.ts';
import { frozenCopy } from './frozen.ts';
import { serialQueue } from './serial.ts';

const maxEvents = 1000;
/** As events.k8s.io bounds its notes. */
const maxMessageLength = 1024;
const flushDelayMs = 500;

export interface EventLog {
  record(event: EventInput): void;
  list(): StoredEvent[];
  /** Saves now what is not saved yet. Never throws. */
  flush(): Promise<void>;
}

/**
 * Equal events (object, type, reason, message) are one with a count. The one that was seen longest ago goes
 * when there are too many. Saved soon after, not at once: losing the last half second of events to a power
 * cut is better than an fsync for each.
 */
export const createEventLog = (options: {
  saved: readonly StoredEvent[];
  clock: Clock;
  logger: Logger;
  save: (events: StoredEvent[]) => Promise<void>;
}): EventLog => {
  const { clock, logger, save } = options;
  // In the order of the last sighting, oldest first.
  const events = new Map(options.saved.map((event) => [identity(event), frozenCopy(event)]));
  let cancelFlush: (() => void) | undefined;
  let isDirty = false;
  const serially = serialQueue();

  const saveIfDirty = async (): Promise<void> => {
    if (!isDirty) return;
    isDirty = false;
    try {
      await save([...events.values()]);
    } catch (error) {
      isDirty = true;
      logger.warn({ error: errorMessage(error) }, 'events not saved');
    }
  };

  const flush = (): Promise<void> => {
    cancelFlush?.();
    cancelFlush = undefined;
    return serially(saveIfDirty);
  };

  const record = (input: EventInput): void => {
    const event = { ...input, message: input.message.slice(0, maxMessageLength) };
    const key = identity(event);
    const seen = events.get(key);
    const time = conditionTime(clock.now());
    events.delete(key);
    events.set(
      key,
      frozenCopy({
        ...event,
        count: (seen?.count ?? 0) + 1,
        firstTimestamp: seen?.firstTimestamp ?? time,
        lastTimestamp: time,
      }),
    );
    const [oldest] = events.keys();
    if (events.size > maxEvents && oldest !== undefined) events.delete(oldest);
    isDirty = true;
    cancelFlush ??= clock.after(flushDelayMs, () => void flush());
  };

  return { record, flush, list: () => [...events.values()] };
};

const identity = ({ regarding, type, reason, message }: EventInput): string =>
  JSON.stringify([
    regarding.kind,
    'namespace' in regarding ? (regarding.namespace ?? '') : '',
    regarding.name,
    type,
    reason,
    message,
  ]);
