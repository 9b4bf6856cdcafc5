import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as check, jsonValue, property } from '../support/fast-check.ts';
import type { NodeReport } from '../../src/nodedoc/types.ts';
import { parseNodeDocument, parseNodeReport } from '../../src/nodedoc/validate.ts';
import { documentVersion } from '../../src/nodedoc/version.ts';
import { assignment, nodeDocument, nodeReport } from '../support/node-documents.ts';

const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const fullReport: NodeReport = nodeReport({
  links: [
    {
      localPort: '2',
      peerNodeName: 'mac-2',
      type: 'Thunderbolt5',
      rdmaDevice: 'rdma_en4',
      mode: 'RDMA',
      bandwidthGbps: '80',
      latencyMicroseconds: '9.1',
      state: 'Up',
      reason: 'Measured',
      message: 'ok',
    },
  ],
  cachedModels: [{ uri: 'file:///models/sprout', sizeBytes: 1, state: 'Ready' }],
  ranks: [
    {
      id: 'default/sprout/0/1/0',
      rank: 0,
      state: 'Failed',
      pid: 12,
      rendezvousAddress: '127.0.0.1:4000',
      endpointUrl: 'http://127.0.0.1:4001/v1',
      shardBytes: 1,
      residentBytes: 2,
      allReduces: 3,
      links: [{ peerRank: 1, kind: 'shm' }],
      decodeTokensPerSecond: 1.5,
      logPath: '/logs/x.log',
      error: {
        code: 'RankExited',
        message: 'gone',
        terminal: false,
        guiltyRank: 1,
        link: 'tcp',
        file: '/x',
        exitCode: 1,
        signal: 'SIGKILL',
      },
    },
  ],
  problems: [{ code: 'DataNotWritable', message: 'disk full' }],
});

test('a whole document and a whole report are read as they were written', () => {
  const document = nodeDocument([assignment(), assignment({ rank: 1, worldSize: 2 })]);
  assert.deepEqual(parseNodeDocument(overTheWire(document)), document);
  assert.deepEqual(parseNodeReport(overTheWire(fullReport)), fullReport);
});

test('a document is refused with the field that is wrong', () => {
  const document = nodeDocument([assignment()]);
  const rank = document.ranks[0];
  const cases: [unknown, RegExp][] = [
    [null, /must be object/],
    [{ ...document, epoch: '1' }, /\/epoch must be integer/],
    [{ ...document, colour: 'red' }, /must NOT have additional properties \("colour"\)/],
    [{ ...document, ranks: [{ ...rank, threads: 0 }] }, /\/ranks\/0\/threads must be >= 1/],
    [{ ...document, ranks: [{ ...rank, id: '../../etc/0/1/0' }] }, /\/ranks\/0\/id must match/],
    [{ ...document, ranks: [{ ...rank, rank: 3 }] }, /should be "default\/sprout\/0\/1\/3"/],
    [{ ...document, ranks: [rank, rank] }, /comes twice/],
    [{ ...document, ranks: [] }, /hashes to/],
  ];
  for (const [value, message] of cases) {
    assert.throws(() => parseNodeDocument(value), { code: 'InvalidDocument', message });
  }
});

test('a report is refused with the field that is wrong', () => {
  const { bootId: _, ...withoutBootId } = nodeReport();
  const cases: [unknown, RegExp][] = [
    [withoutBootId, /must have required property 'bootId'/],
    [{ ...nodeReport(), nodeName: 'Not A Name' }, /\/nodeName must match/],
    [{ ...nodeReport(), host: { ...nodeReport().host, cpuCount: 0 } }, /\/host\/cpuCount/],
    [
      { ...nodeReport(), ranks: [{ id: 'a/b/0/1/0', rank: 0, state: 'Fine' }] },
      /\/ranks\/0\/state/,
    ],
  ];
  for (const [value, message] of cases) {
    assert.throws(() => parseNodeReport(value), { code: 'InvalidReport', message });
  }
});

test('no value at all makes the readers do anything but accept or refuse', () => {
  check(
    property(jsonValue(), (value) => {
      assert.throws(() => parseNodeDocument(value), { code: 'InvalidDocument' });
      assert.throws(() => parseNodeReport(value), { code: 'InvalidReport' });
    }),
  );
});

test('the version follows the content, not the epoch', () => {
  const ranks = [assignment()];
  const first = nodeDocument(ranks, { epoch: 1 });
  assert.equal(nodeDocument(ranks, { epoch: 9 }).version, first.version);
  assert.notEqual(nodeDocument([], { epoch: 1 }).version, first.version);
  assert.equal(documentVersion(overTheWire(first) as typeof first), first.version);
});
