import assert from 'node:assert/strict';
import type { ApiServer } from './api-server.ts';

interface StoredObject {
  metadata: { namespace?: string; name: string; resourceVersion?: string };
}

const call = async (server: ApiServer, name: string, body: object): Promise<void> => {
  const response = await fetch(`${server.etcdUrl}/v3/kv/${name}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  assert.equal(response.status, 200, await response.text());
};

const encoded = (text: string): string => Buffer.from(text).toString('base64');

/** Behind the server's back: with uids, generations and times that no client could give an object. */
export const putInEtcd = async (
  server: ApiServer,
  plural: string,
  object: StoredObject,
): Promise<void> => {
  const { resourceVersion: _, ...metadata } = object.metadata;
  const path = [plural, metadata.namespace, metadata.name].filter(Boolean).join('/');
  const key = encoded(`/registry/espalier.dev/${path}`);
  await call(server, 'put', { key, value: encoded(JSON.stringify({ ...object, metadata })) });
};

/** All objects of our kinds. */
export const emptyEtcd = async (server: ApiServer): Promise<void> => {
  // The character after the slash bounds the range.
  const [key, rangeEnd] = ['/registry/espalier.dev/', '/registry/espalier.dev0'].map(encoded);
  await call(server, 'deleterange', { key, range_end: rangeEnd });
};
