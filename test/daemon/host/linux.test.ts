import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import {
  linuxHost,
  parseOsRelease,
  parseStat,
  usableMemoryBytes,
} from '../../../src/daemon/host/linux.ts';
import { parseNodeReport } from '../../../src/nodedoc/validate.ts';
import { eventually } from '../../support/eventually.ts';
import { nodeReport } from '../../support/node-documents.ts';

const onLinux = { skip: process.platform !== 'linux' && 'needs Linux' };

test('facts of this host make a valid report', onLinux, async () => {
  const host = linuxHost();
  const facts = await host.facts();
  parseNodeReport(nodeReport({ host: facts, bootId: await host.bootId() }));
  assert.deepEqual(await host.facts(), facts);
});

test(
  'a process is found with its start, group and mark, and is gone once it has ended',
  onLinux,
  async () => {
    const { processes } = linuxHost();
    const child = spawn('/bin/sh', ['-c', 'read line'], {
      detached: true,
      env: { ESPALIER_RUN_DIRECTORY: '/data/ranks/a b' },
    });
    await once(child, 'spawn');
    const pid = child.pid!;
    const found = await eventually('marked', async () => {
      const live = await processes.find(pid);
      return live?.runDirectory === undefined ? undefined : live;
    });
    assert.equal(found.groupId, pid);
    assert.equal(found.runDirectory, '/data/ranks/a b');
    assert.deepEqual(
      (await processes.list()).find((live) => live.pid === pid),
      found,
    );
    assert.equal(await processes.isAlive(pid, found.startTime), true);
    assert.equal(
      await processes.isAlive(pid, 'another start'),
      false,
      'a reused pid is another process',
    );
    assert.ok((await processes.residentBytes(pid))! > 0);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    assert.equal(await processes.find(pid), undefined);
    assert.equal(await processes.residentBytes(pid), undefined);
  },
);

const stat = (state: string) =>
  `42 (a) (b c) ${state} 1 40 40 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 148212 3133440 390\n`;

test('/proc/PID/stat is read whatever the command is called, and a zombie is not alive', () => {
  assert.deepEqual(parseStat(stat('S')), { pid: 42, groupId: 40, startTime: '148212' });
  assert.equal(parseStat(stat('Z')), undefined);
  assert.equal(parseStat(undefined), undefined);
  assert.equal(parseStat(''), undefined);
});

test('os-release with and without its fields', () => {
  assert.equal(parseOsRelease('NAME="Debian"\nID=debian\nVERSION_ID="12"\n'), 'debian 12');
  assert.equal(parseOsRelease('ID=arch\n'), 'arch');
  assert.equal(parseOsRelease(''), 'linux');
});

test('memory is what the cgroup leaves', () => {
  assert.equal(usableMemoryBytes(100, 0), 100);
  assert.equal(usableMemoryBytes(100, 40), 40);
  assert.equal(usableMemoryBytes(100, 2 ** 63), 100);
});
