import { buildNodeDocument } from './documents.ts';
import type { NodeLink, Store } from './ports.ts';

/** Hands documents to the nodes, always built from what is persisted. */
export interface Publisher {
  publish(nodeNames: Iterable<string>): void;
  publishAll(): void;
  /** The ClusterNode is gone. */
  retract(nodeName: string): void;
  /** Of the document that the node should have. */
  version(nodeName: string): string | undefined;
  /** Nothing is published any more. */
  stop(): void;
}

export const createPublisher = (store: Store, nodeLink: NodeLink): Publisher => {
  const versions = new Map<string, string>();
  let isStopped = false;

  const publish = (nodeNames: Iterable<string>): void => {
    if (isStopped) return;
    for (const nodeName of new Set(nodeNames)) {
      if (!store.node(nodeName)) continue;
      const document = buildNodeDocument(nodeName, store);
      versions.set(nodeName, document.version);
      nodeLink.publish(document);
    }
  };

  return {
    publish,
    publishAll: () => publish(store.nodes().map(({ metadata }) => metadata.name)),
    retract: (nodeName) => {
      if (isStopped) return;
      versions.delete(nodeName);
      nodeLink.retract(nodeName);
    },
    version: (nodeName) => versions.get(nodeName),
    stop: () => {
      isStopped = true;
    },
  };
};
