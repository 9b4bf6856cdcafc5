import { setTimeout as sleep } from 'node:timers/promises';
import { backoffMs } from '../../../src/base/random.ts';
import { createHubClient } from '../../../src/daemon/hub-client.ts';
import type { HubClient } from '../../../src/daemon/hub-client.ts';
import type { NodeDocument } from '../../../src/nodedoc/types.ts';
import { SimNode } from '../../../test/support/sim-node.ts';
import type { World } from '../../../test/support/sim-node.ts';

const GiB = 2 ** 30;
/** As src/daemon/timing.ts and those who use it: who asks faster takes the operator's time, and the server's. */
const heartbeatMs = 8000;
const retry = { baseMs: 100, maxMs: 5000 };
const stepMs = 50;
const pollMs = 25_000;
/** A rank takes up to this part of the 3 s that SimNode gives each of its steps. */
const haste = 0.02;

export interface DocumentNews {
  nodeName: string;
  document: NodeDocument;
  before: NodeDocument | undefined;
  atMs: number;
}

/** Simulated nodes that dial a real hub, as daemons do: one long poll each, a report per change and heartbeat. */
export class Nodes {
  readonly #hubUrl: string;
  readonly #nodes: SimNode[];
  readonly #byStart = new Map<string, Set<SimNode>>();
  readonly #stopped = new AbortController();
  /** With something to do; the others only beat. A thousand that look every 50 ms would take the operator's time. */
  readonly #busy = new Set<SimNode>();
  /** The last one that each was handed. */
  readonly documents = new Map<string, NodeDocument>();
  /** Epoch of the control plane that last let each poll. */
  readonly epochs = new Map<string, number>();
  onDocument: (news: DocumentNews) => void = () => undefined;

  constructor(names: readonly string[], hubUrl: string) {
    this.#hubUrl = hubUrl;
    const world: World = {
      nowMs: () => performance.now(),
      random: () => Math.random() * haste,
      peers: ({ id }) => {
        const start = startOf(id);
        return [...(this.#byStart.get(start) ?? [])].flatMap(({ ranks }) =>
          [...ranks].filter(([key]) => startOf(key) === start).map(([, rank]) => rank),
        );
      },
      poison: () => undefined,
    };
    this.#nodes = names.map((name) => {
      const node = new SimNode(name, world);
      node.memoryBytes = 64 * GiB;
      node.host = { chip: 'Apple M4 Pro', model: 'Mac16,11', osVersion: '26.2', cpuCount: 12 };
      return node;
    });
  }

  start(): void {
    for (const node of this.#nodes) {
      const client = createHubClient({
        hubUrl: this.#hubUrl,
        nodeName: node.name,
        instanceID: node.report().instanceID!,
        requestTimeoutMs: 10_000,
      });
      void this.#poll(node, client);
      void this.#report(node, client);
    }
  }

  stop(): void {
    this.#stopped.abort(new Error('the bench is over'));
  }

  async #poll(node: SimNode, client: HubClient): Promise<void> {
    const { signal } = this.#stopped;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const before = this.documents.get(node.name);
      try {
        const answer = await client.document({
          knownVersion: before?.version ?? '',
          knownEpoch: this.epochs.get(node.name) ?? 0,
          waitMs: pollMs,
          signal,
        });
        if (answer.kind === 'Document') this.#receive(node, answer.document, before);
        if (answer.kind === 'Unchanged') this.epochs.set(node.name, answer.epoch);
        if (answer.kind === 'Document' || answer.kind === 'Unchanged') {
          attempt = -1;
          continue;
        }
        if (answer.kind === 'ReportFirst') await client.report(node.report(), signal);
      } catch {
        // The operator is down; the daemon would go on as it is, too.
      }
      await sleep(backoffMs(attempt, retry, Math.random));
    }
  }

  #receive(node: SimNode, document: NodeDocument, before: NodeDocument | undefined): void {
    const atMs = performance.now();
    for (const { id } of document.ranks) {
      const start = startOf(id);
      const on = this.#byStart.get(start) ?? new Set();
      this.#byStart.set(start, on.add(node));
    }
    node.receive(document);
    this.#busy.add(node);
    this.documents.set(node.name, document);
    this.epochs.set(node.name, document.epoch);
    this.onDocument({ nodeName: node.name, document, before, atMs });
  }

  async #report(node: SimNode, client: HubClient): Promise<void> {
    const { signal } = this.#stopped;
    let sent = { text: '', atMs: -Infinity };
    let attempt = 0;
    // A thousand daemons do not start in the same instant.
    await sleep(Math.random() * 1000);
    while (!signal.aborted) {
      await sleep(stepMs);
      if (!this.#busy.has(node) && performance.now() - sent.atMs < heartbeatMs) continue;
      node.step();
      const report = node.report();
      const text = JSON.stringify(report);
      const listed = this.documents.get(node.name)?.ranks.length ?? 0;
      const isDone =
        report.ranks.length === listed && report.ranks.every(({ state }) => state === 'Ready');
      if (text === sent.text && isDone) this.#busy.delete(node);
      if (text === sent.text && performance.now() - sent.atMs < heartbeatMs) continue;
      try {
        await client.report(report, signal);
        sent = { text, atMs: performance.now() };
        attempt = 0;
      } catch {
        await sleep(backoffMs(attempt, retry, Math.random));
        attempt += 1;
      }
    }
  }
}

const startOf = (id: string): string => id.slice(0, id.lastIndexOf('/'));
