import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  macosHost,
  parseEnvironments,
  parseMacosFacts,
  parseProcesses,
} from '../../../src/daemon/host/macos.ts';
import { parseNodeReport } from '../../../src/nodedoc/validate.ts';
import { nodeReport } from '../../support/node-documents.ts';

// In the form that the commands' manual pages give; not captured on a Mac.
const texts = {
  sysctl: [
    'hw.model: Mac15,14',
    'hw.memsize: 549755813888',
    'hw.ncpu: 32',
    'machdep.cpu.brand_string: Apple M3 Ultra',
  ].join('\n'),
  swVers: 'ProductName:\t\tmacOS\nProductVersion:\t\t26.2\nBuildVersion:\t\t25C56\n',
  ioreg: `+-o Mac15,14  <class IOPlatformExpertDevice, id 0x100000254, registered, matched>
    {
      "model" = <"Mac15,14">
      "IOPlatformUUID" = "28CA4C30-A263-4C55-B302-953416D0B209"
    }`,
};

test('facts from sysctl, sw_vers and ioreg', () => {
  assert.deepEqual(parseMacosFacts(texts), {
    hostID: '28CA4C30-A263-4C55-B302-953416D0B209',
    model: 'Mac15,14',
    chip: 'M3 Ultra',
    osVersion: '26.2',
    osBuild: '25C56',
    cpuCount: 32,
    memoryBytes: 549_755_813_888,
    address: '127.0.0.1',
  });
});

test('a fact that is not there is named', () => {
  assert.throws(() => parseMacosFacts({ ...texts, ioreg: '' }), /expected IOPlatformUUID/);
  assert.throws(() => parseMacosFacts({ ...texts, swVers: 'sw_vers: error' }), /ProductVersion/);
});

test('processes from ps, without zombies', () => {
  const text = [
    '    1     1 Ss   Sun Nov 22 10:11:12 2026',
    '  501   500 S    Mon Nov  2 09:08:07 2026    ',
    '  502   502 Z    Mon Nov 23 00:00:00 2026',
    '',
  ].join('\n');
  assert.deepEqual(parseProcesses(text), [
    { pid: 1, groupId: 1, startTime: 'Sun Nov 22 10:11:12 2026' },
    { pid: 501, groupId: 500, startTime: 'Mon Nov  2 09:08:07 2026' },
  ]);
});

test('run directories from ps -E, with spaces in the path, at any place', () => {
  const text = [
    '  501 /usr/bin/rank --rank 0 PATH=/bin ESPALIER_RUN_DIRECTORY=/Users/a b/ranks/x HOME=/Users/a b',
    '  502 rank ESPALIER_RUN_DIRECTORY=/data/ranks/y',
    '  503 sleep 10 PATH=/bin',
  ].join('\n');
  assert.deepEqual(
    [...parseEnvironments(text)],
    [
      [501, '/Users/a b/ranks/x'],
      [502, '/data/ranks/y'],
    ],
  );
});

test(
  'facts of this Mac make a valid report',
  { skip: process.platform !== 'darwin' && 'needs macOS' },
  async () => {
    const host = macosHost();
    parseNodeReport(nodeReport({ host: await host.facts(), bootId: await host.bootId() }));
    const self = await host.processes.find(process.pid);
    assert.ok(self && (await host.processes.isAlive(self.pid, self.startTime)));
  },
);
