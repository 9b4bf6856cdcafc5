import { buildNodeDocument } from './documents.ts';
import type { Clock } from '../base/clock.ts';
import type { NodeLink, Store } from './ports.ts';

export interface PublishedDocument {
  version: string;
  /** Since it last became another one. */
  ageMs: number;
}

/** Hands documents to the nodes, always built from what is persisted. */
export interface Publisher {
  publish(nodeNames: Iterable<string>): void;
  publishAll(): void;
  /** The ClusterNode is gone. */
  retract(nodeName: string): void;
  /** The document that the node should have. */
  published(nodeName: string): PublishedDocument | undefined;
  /** Nothing is published any more. */
  stop(): void;
}

export const createPublisher = (store: Store, nodeLink: NodeLink, clock: Clock): Publisher => {
  const documents = new Map<string, { version: string; sinceMs: number }>();
  let isStopped = false;

  const publish = (nodeNames: Iterable<string>): void => {
    if (isStopped) return;
    for (const nodeName of new Set(nodeNames)) {
      if (!store.node(nodeName)) continue;
      const document = buildNodeDocument(nodeName, store);
      if (documents.get(nodeName)?.version !== document.version) {
        documents.set(nodeName, { version: document.version, sinceMs: clock.monotonicMs() });
      }
      nodeLink.publish(document);
    }
  };

  return {
    publish,
    publishAll: () => publish(store.nodes().map(({ metadata }) => metadata.name)),
    retract: (nodeName) => {
      if (isStopped) return;
      // Throws when this control plane is over, as building a document does.
      store.epoch();
      documents.delete(nodeName);
      nodeLink.retract(nodeName);
    },
    published: (nodeName) => {
      const document = documents.get(nodeName);
      return (
        document && {
          version: document.version,
          ageMs: clock.monotonicMs() - document.sinceMs,
        }
      );
    },
    stop: () => {
      isStopped = true;
    },
  };
};
