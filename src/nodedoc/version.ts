import { contentHash } from '../base/canonical-json.ts';
import type { NodeDocument } from './types.ts';

/** Hex SHA-256 over everything but `epoch` and `version`. The order of ranks counts: keep it stable. */
export const documentVersion = (content: Pick<NodeDocument, 'nodeName' | 'ranks'>): string =>
  contentHash({ nodeName: content.nodeName, ranks: content.ranks });

/** A document with its version filled in. */
export const createNodeDocument = (
  content: Pick<NodeDocument, 'nodeName' | 'epoch' | 'ranks'>,
): NodeDocument => ({
  nodeName: content.nodeName,
  epoch: content.epoch,
  version: documentVersion(content),
  ranks: content.ranks,
});
