import { contentHash } from '../../base/canonical-json.ts';
import { delay } from '../../base/clock.ts';
import type { Clock } from '../../base/clock.ts';
import { errorMessage } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { EventInput, ObjectKey, StoredEvent } from '../../controller/ports.ts';
import { conditionTime } from '../../resources/conditions.ts';
import { isCode } from './change-object.ts';
import type { ApiClient } from './client.ts';
import { kinds } from './kinds.ts';
import type { ApiObject } from './objects.ts';

export interface EventRecorder {
  /** Takes up the events of earlier control planes, so that counts go on. */
  start(): Promise<void>;
  /** Never throws; written a second later, together with its like. */
  record(event: EventInput): void;
  list(): StoredEvent[];
  /** Writes what is not written yet, within 5 s. */
  stop(): Promise<void>;
}

export interface EventRecorderOptions {
  client: ApiClient;
  clock: Clock;
  logger: Logger;
  /** Names this process. */
  instance: string;
  uidOf: (key: EventInput['regarding']) => string | undefined;
  signal: AbortSignal;
}

interface ApiEvent extends ApiObject {
  eventTime: string;
  note?: string;
  reason: string;
  type: 'Normal' | 'Warning';
  regarding: { kind: string; namespace?: string; name: string };
  series?: { count: number; lastObservedTime: string };
}

/** One event of the API, which counts how often the same thing was said. */
interface Known extends StoredEvent {
  namespace: string;
  name: string;
  /** What the server knows; 0 before the first write. */
  writtenCount: number;
}

const controller = 'espalier.dev/operator';
const flushDelayMs = 1000;
const stopDeadlineMs = 5000;
const maxEvents = 1000;
/** The API's bound. */
const maxNoteBytes = 1024;
/** Of one flush; the rest waits for the next: a fleet that fails must not drown the server in events. */
const maxWritesPerFlush = 50;

export const createEventRecorder = (options: EventRecorderOptions): EventRecorder =>
  new ApiEventRecorder(options);

class ApiEventRecorder implements EventRecorder {
  readonly #options: EventRecorderOptions;
  /** By name of the API object; what was said last is at the end. */
  readonly #events = new Map<string, Known>();
  #cancel: (() => void) | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { client, logger, signal } = this.#options;
    const fieldSelector = `reportingController=${controller}`;
    try {
      const { items } = await client.list<ApiEvent>(kinds.events, { fieldSelector, signal });
      const newestLast = items.toSorted((left, right) => (timeOf(left) < timeOf(right) ? -1 : 1));
      for (const event of newestLast.slice(-maxEvents)) this.#takeUp(event);
    } catch (error) {
      if (signal.aborted) throw error;
      logger.warn({ error: errorMessage(error) }, 'earlier events not read: counts start anew');
    }
  }

  record(event: EventInput): void {
    const { clock, uidOf } = this.#options;
    const note = firstBytes(event.message, maxNoteBytes);
    const { regarding, type, reason } = event;
    const namespace = ('namespace' in regarding && regarding.namespace) || 'default';
    const hash = contentHash([uidOf(regarding), regarding, type, reason, note]).slice(0, 16);
    const name = `${regarding.name.slice(0, 200).toLowerCase()}.${hash}`;
    const key = `${namespace}/${name}`;
    const known = this.#events.get(key);
    const time = conditionTime(clock.now());
    this.#events.delete(key);
    this.#events.set(key, {
      ...event,
      message: note,
      namespace,
      name,
      count: (known?.count ?? 0) + 1,
      firstTimestamp: known?.firstTimestamp ?? time,
      lastTimestamp: time,
      writtenCount: known?.writtenCount ?? 0,
    });
    if (this.#events.size > maxEvents) this.#events.delete(this.#events.keys().next().value!);
    this.#flushLater();
  }

  list(): StoredEvent[] {
    return [...this.#events.values()].map(
      ({ regarding, type, reason, message, count, firstTimestamp, lastTimestamp }) => ({
        regarding,
        type,
        reason,
        message,
        count,
        firstTimestamp,
        lastTimestamp,
      }),
    );
  }

  async stop(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    const { clock } = this.#options;
    await Promise.race([this.#flush(), delay(clock, stopDeadlineMs)]);
  }

  #flushLater(): void {
    this.#cancel ??= this.#options.clock.after(flushDelayMs, () => {
      this.#cancel = undefined;
      void this.#flush();
    });
  }

  async #flush(): Promise<void> {
    this.#flushing = this.#flushing.then(async () => this.#writeAll());
    await this.#flushing;
  }

  async #writeAll(): Promise<void> {
    const { logger, signal } = this.#options;
    const unwritten = [...this.#events.values()].filter(
      (event) => event.count > event.writtenCount,
    );
    for (const event of unwritten.slice(0, maxWritesPerFlush)) {
      if (signal.aborted) return;
      try {
        await this.#write(event);
      } catch (error) {
        logger.warn({ reason: event.reason, error: errorMessage(error) }, 'event not written');
        // Counted as written: what happens again is tried again, and nothing piles up.
      }
      event.writtenCount = event.count;
    }
    if (unwritten.length > maxWritesPerFlush) this.#flushLater();
  }

  async #write(event: Known): Promise<void> {
    const { client, signal } = this.#options;
    const { namespace, name, count, lastTimestamp } = event;
    const series = count > 1 ? { series: { count, lastObservedTime: micro(lastTimestamp) } } : {};
    const call = { signal, deadlineMs: stopDeadlineMs };
    if (event.writtenCount > 0) {
      const patched = await client
        .patch<ApiEvent>(kinds.events, { namespace, name }, series, call)
        .catch((error: unknown) => {
          // The server forgets events after an hour.
          if (!isCode(error, 'ObjectNotFound')) throw error;
        });
      if (patched) return;
    }
    await client
      .create(kinds.events, { ...this.#object(event), ...series }, call)
      .catch(async (error: unknown) => {
        if (!isCode(error, 'ObjectConflict')) throw error;
        if (count > 1) await client.patch(kinds.events, { namespace, name }, series, call);
      });
  }

  #object({ regarding, type, reason, message, namespace, name, firstTimestamp }: Known) {
    const uid = this.#options.uidOf(regarding);
    return {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace },
      eventTime: micro(firstTimestamp),
      reportingController: controller,
      reportingInstance: this.#options.instance.slice(0, 128),
      action: 'Reconcile',
      type,
      reason,
      note: message,
      regarding: {
        apiVersion: 'espalier.dev/v1alpha1',
        kind: regarding.kind,
        name: regarding.name,
        ...('namespace' in regarding && regarding.namespace
          ? { namespace: regarding.namespace }
          : {}),
        ...(uid === undefined ? {} : { uid }),
      },
    };
  }

  #takeUp(event: ApiEvent): void {
    const { metadata, regarding, type, reason, note = '', series } = event;
    const { namespace = 'default', name } = metadata;
    const { kind, namespace: of, name: regardingName } = regarding;
    const count = series?.count ?? 1;
    this.#events.set(`${namespace}/${name}`, {
      regarding: {
        kind: kind as ObjectKey['kind'],
        ...(of === undefined ? {} : { namespace: of }),
        name: regardingName,
      },
      type,
      reason,
      message: note,
      count,
      writtenCount: count,
      firstTimestamp: conditionTime(new Date(event.eventTime)),
      lastTimestamp: conditionTime(new Date(timeOf(event))),
      namespace,
      name,
    });
  }
}

/** Whole characters only. */
const firstBytes = (text: string, limit: number): string =>
  new TextDecoder().decode(Buffer.from(text).subarray(0, limit), { stream: true });

const timeOf = ({ series, eventTime }: ApiEvent): string => series?.lastObservedTime ?? eventTime;

/** MicroTime: events and Leases have six digits of a second. */
export const micro = (time: string): string => new Date(time).toISOString().replace('Z', '000Z');
