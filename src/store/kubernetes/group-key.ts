import { randomBytes } from 'node:crypto';
import { EspalierError } from '../../base/errors.ts';
import { isCode } from './change-object.ts';
import type { ApiClient } from './client.ts';
import { kinds } from './kinds.ts';
import type { ApiObject } from './objects.ts';

interface Secret extends ApiObject {
  data?: Record<string, string>;
}

const name = 'espalier-group-key';
const keyBytes = 32;

/**
 * The key from which group secrets are derived: the Secret espalier-group-key, made once. Two replicas that make
 * it at once agree on the first. Throws Internal when somebody has put something else there.
 */
export const readGroupKey = async (
  client: ApiClient,
  namespace: string,
  signal: AbortSignal,
): Promise<Buffer> => {
  const read = async () => client.get<Secret>(kinds.secrets, { namespace, name }, { signal });
  const secret = await read().catch(async (error: unknown) => {
    if (!isCode(error, 'ObjectNotFound')) throw error;
    const made = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace },
      type: 'Opaque',
      // Another key would give every running group another secret: nobody may change it by mistake.
      immutable: true,
      data: { key: randomBytes(keyBytes).toString('base64') },
    };
    return client
      .create<Secret>(kinds.secrets, made, { signal })
      .catch(async (failure: unknown) => {
        if (isCode(failure, 'ObjectConflict')) return read();
        throw failure;
      });
  });
  const key = Buffer.from(secret.data?.['key'] ?? '', 'base64');
  if (key.byteLength === keyBytes) return key;
  const message = `expected ${keyBytes} bytes in data.key of the Secret ${namespace}/${name}, found ${key.byteLength}; delete it, and every group restarts with a new one`;
  throw new EspalierError('Internal', message, { namespace, name, bytes: key.byteLength });
};
