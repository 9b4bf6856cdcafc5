import { sameContent } from '../base/canonical-json.ts';
import type { Clock } from '../base/clock.ts';
import { EspalierError } from '../base/errors.ts';
import type { ReceivedReport } from '../controller/ports.ts';
import type { NodeDocument, NodeReport } from '../nodedoc/types.ts';

/**
 * A daemon reports every 10 s. One that has been silent for longer than this has lost its claim to the
 * node name, so that a replaced machine gets in without anybody's help.
 */
export const claimLapsesAfterMs = 25_000;

interface Entry {
  document?: NodeDocument;
  report?: { value: NodeReport; receivedAtMs: number };
  /** Called when the document changes or the hub closes. */
  wake: Set<() => void>;
}

/** What the hub knows of each node name: the document to hand out and the last report, with who sent it. */
export interface NodeTable {
  put: (document: NodeDocument) => void;
  document: (nodeName: string) => NodeDocument | undefined;
  /** Keeps a report; true when it differs from the one before. Throws DuplicateNode. */
  accept: (report: NodeReport) => boolean;
  /** True when the node's last accepted report came from this daemon. Throws DuplicateNode when from another. */
  isClaimedBy: (nodeName: string, instanceID: string) => boolean;
  latest: (nodeName: string) => ReceivedReport | undefined;
  all: () => ReceivedReport[];
  /** Calls `wake` at each change of the node's document, until the returned function is called. */
  watch: (nodeName: string, wake: () => void) => () => void;
  wakeAll: () => void;
}

export const createNodeTable = (clock: Clock): NodeTable => {
  const entries = new Map<string, Entry>();
  const entryOf = (nodeName: string): Entry => {
    const entry = entries.get(nodeName) ?? { wake: new Set() };
    entries.set(nodeName, entry);
    return entry;
  };
  const received = (entry: Entry | undefined): ReceivedReport | undefined =>
    entry?.report && {
      report: entry.report.value,
      ageMs: clock.monotonicMs() - entry.report.receivedAtMs,
    };
  const claim = (nodeName: string): NodeReport | undefined => {
    const last = received(entries.get(nodeName));
    return last && last.ageMs < claimLapsesAfterMs ? last.report : undefined;
  };

  return {
    put: (document) => {
      const entry = entryOf(document.nodeName);
      entry.document = document;
      for (const wake of entry.wake) wake();
    },
    document: (nodeName) => entries.get(nodeName)?.document,
    accept: (report) => {
      const holder = claim(report.nodeName);
      if (holder && !sameDaemon(holder, report)) throw duplicateNode(holder, report);
      const entry = entryOf(report.nodeName);
      const changed = !sameContent(entry.report?.value, report);
      entry.report = { value: report, receivedAtMs: clock.monotonicMs() };
      return changed;
    },
    isClaimedBy: (nodeName, instanceID) => {
      const holder = claim(nodeName);
      if (!holder) return false;
      if (identity(holder) === instanceID) return true;
      throw duplicateNode(holder, { nodeName, instanceID });
    },
    latest: (nodeName) => received(entries.get(nodeName)),
    all: () => [...entries.values()].flatMap((entry) => received(entry) ?? []),
    watch: (nodeName, wake) => {
      const { wake: listeners } = entryOf(nodeName);
      listeners.add(wake);
      return () => listeners.delete(wake);
    },
    wakeAll: () => {
      for (const entry of entries.values()) for (const wake of entry.wake) wake();
    },
  };
};

/** The instance tells two daemons apart; the host, one data directory that was copied to a second Mac. */
const sameDaemon = (holder: NodeReport, report: NodeReport): boolean =>
  identity(holder) === identity(report) && holder.host.hostID === report.host.hostID;

const identity = (report: NodeReport): string => report.instanceID ?? report.host.hostID;

const duplicateNode = (
  holder: NodeReport,
  refused: Pick<NodeReport, 'nodeName' | 'instanceID'> & Partial<Pick<NodeReport, 'host'>>,
): EspalierError => {
  const refusedHost = refused.host ? `host ${refused.host.hostID}, ` : '';
  return new EspalierError(
    'DuplicateNode',
    `node "${refused.nodeName}" is already held by another daemon ` +
      `(host ${holder.host.hostID}, instance ${identity(holder)}); refused the one on ` +
      `${refusedHost}instance ${refused.instanceID ?? 'unnamed'}: give each Mac its own node name, ` +
      `or stop the first daemon and wait ${claimLapsesAfterMs / 1000} s`,
    {
      node: refused.nodeName,
      holderHostID: holder.host.hostID,
      holderInstanceID: identity(holder),
      refusedHostID: refused.host?.hostID ?? null,
      refusedInstanceID: refused.instanceID ?? null,
    },
  );
};
