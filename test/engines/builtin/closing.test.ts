import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createLogger } from '../../../src/base/logger.ts';
import type { ServedModel } from '../../../src/engines/builtin/openai/completions.ts';
import { createServer } from '../../../src/engines/builtin/openai/server.ts';
import { eventually } from '../../support/eventually.ts';
import { fakeClock } from '../../support/fake-clock.ts';

test('a request that comes while the endpoint closes gets an answer in the shape of the API', async (t) => {
  const model = { names: ['m'], clock: fakeClock() } as unknown as ServedModel;
  const app = createServer(model, {
    maxConcurrentRequests: 1,
    isStopping: () => false,
    logger: createLogger({ name: 'test', level: 'silent' }),
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => socket.destroy());
  let answers = '';
  socket.setEncoding('utf8').on('data', (chunk) => (answers += chunk));
  const head = 'host: x\r\ncontent-type: application/json\r\ncontent-length: 2';
  // Under way while it closes, so that the connection stays.
  const arrived = once(app.server, 'request');
  socket.write(`POST /v1/completions HTTP/1.1\r\n${head}\r\n\r\n{`);
  await arrived;
  const closed = app.close();
  socket.write('}GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n');
  await eventually('both are answered', () => answers.split('HTTP/1.1 ').length === 3);
  const [, first = '', second = ''] = answers.split('HTTP/1.1 ');
  assert.match(first, /^400 /);
  assert.match(second, /^200 .*"object":"list"/s);
  socket.end();
  await closed;
});
