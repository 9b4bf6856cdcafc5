/**
 * A rank in miniature, as a real process: writes status.json, listens, answers canaries, and misbehaves
 * as its flags say. A file "canary-fails" in its run directory makes the canary fail. A streamed completion begins
 * at once and goes on until somebody posts to "finish"; SIGTERM cuts it off.
 *
 *   --run-directory DIR --rank N
 *   --stay-at Rendezvous|Loading   never leaves that phase
 *   --exit-with CODE               ends once it serves
 *   --fail-with CODE               says Failed with that code, and stays
 *   --ignore-sigterm               as it says
 *   --with-child                   starts a child of its own that ignores SIGTERM
 */
import { spawn } from 'node:child_process';
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { EngineStatus } from '../../src/engines/engine.ts';

const { values: flags } = parseArgs({
  options: {
    'run-directory': { type: 'string' },
    rank: { type: 'string' },
    'stay-at': { type: 'string' },
    'exit-with': { type: 'string' },
    'fail-with': { type: 'string' },
    'ignore-sigterm': { type: 'boolean' },
    'with-child': { type: 'boolean' },
  },
});
const runDirectory = flags['run-directory']!;
const rank = Number(flags.rank);
let status: EngineStatus = { phase: 'Starting', pid: process.pid };

const write = (change: Partial<EngineStatus> = {}): void => {
  status = { ...status, ...change };
  const file = join(runDirectory, 'status.json');
  try {
    writeFileSync(`${file}.tmp`, JSON.stringify(status));
    renameSync(`${file}.tmp`, file);
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
  }
};

if (flags['ignore-sigterm']) process.on('SIGTERM', () => process.stdout.write('SIGTERM ignored\n'));
if (flags['with-child']) {
  spawn('/bin/sh', ['-c', 'trap "" TERM; while :; do sleep 1; done'], { stdio: 'ignore' });
}
process.stdout.write(`rank ${rank} starts\n`);

const streams = new Set<ServerResponse>();
const say = (): void => {
  for (const stream of streams) stream.write(`data: {"rank":"${process.pid}"}\n\n`);
};
const finish = (): void => {
  for (const stream of streams) stream.end('data: [DONE]\n\n');
};

const server = createServer((request, response) => {
  if (request.url === '/v1/completions') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    streams.add(response);
    response.once('close', () => streams.delete(response));
    return say();
  }
  if (request.url === '/v1/finish') {
    finish();
    return response.end();
  }
  const fails = existsSync(join(runDirectory, 'canary-fails'));
  response.writeHead(request.url === '/v1/canary' && !fails ? 200 : 500).end();
  return undefined;
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo;
  const address = `127.0.0.1:${port}`;
  write({ phase: 'Rendezvous', ...(rank === 0 && { rendezvousAddress: address }) });
  if (flags['stay-at'] === 'Rendezvous') return;
  write({ phase: 'Loading' });
  if (flags['stay-at'] === 'Loading') return;
  if (flags['fail-with']) {
    const error = { code: flags['fail-with'], message: 'as asked', terminal: true, guiltyRank: 1 };
    return write({ phase: 'Failed', error });
  }
  write({
    phase: 'Serving',
    shardBytes: 1000 + rank,
    allReduces: 42,
    links: [{ peerRank: 1 - rank, kind: 'shm' }],
    ...(rank === 0 && { endpointUrl: `http://${address}/v1` }),
  });
  if (flags['exit-with']) setTimeout(() => process.exit(Number(flags['exit-with'])), 50);
});
setInterval(() => {
  write();
  say();
}, 100);
