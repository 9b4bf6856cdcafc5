import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderStatus, statusLine } from '../../../src/cli/status/render.ts';
import { reportStatus } from '../../../src/cli/status/report.ts';
import type { StatusInput } from '../../../src/cli/status/report.ts';
import { clusterNode, condition, deployment, group, minutesAgo, now } from '../objects.ts';

const screen = (
  input: Partial<StatusInput> & Pick<StatusInput, 'deployment'>,
  isTerminal = false,
) =>
  renderStatus(reportStatus({ nodes: [], revisions: [], events: [], ...input }), {
    now,
    isTerminal,
  });

const loading = deployment('m', {
  status: {
    conditions: [
      condition('Ready', 'False', 'AwaitingRanks'),
      condition('Reconciling', 'True', 'AwaitingRanks'),
    ],
    updatedReplicas: 1,
    groups: [group('Starting', { 'mini-1': 'Canary', 'mini-2': 'Loading', 'mini-3': 'Loading' })],
  },
});

test('of a group that starts, the ranks that are furthest behind are in the way, and since when', () => {
  const { obstacles } = reportStatus({ deployment: loading, nodes: [], revisions: [], events: [] });
  assert.deepEqual(
    obstacles.filter(({ rank }) => rank).map(({ what, state, since }) => [what, state, since]),
    [
      ['rank 1 of group 0 on mini-2', 'Loading', minutesAgo(4)],
      ['rank 2 of group 0 on mini-3', 'Loading', minutesAgo(4)],
    ],
  );
});

test('a lost node comes before its ranks, and the advice names it', () => {
  const lost = condition('Ready', 'Unknown', 'NodeLost', 'no report for more than 40 s');
  const nodes = [
    clusterNode('mini-1'),
    clusterNode('mini-2', { status: { conditions: [lost] } }),
    clusterNode('mini-3'),
  ];
  const report = reportStatus({ deployment: loading, nodes, revisions: [], events: [] });
  assert.deepEqual(report.obstacles[0], {
    what: 'node mini-2',
    nodeName: 'mini-2',
    state: 'NodeLost',
    since: minutesAgo(2),
    message: 'no report for more than 40 s',
  });
  assert.match(report.advice.join('\n'), /see to mini-2: power, network, and the daemon/);
});

test('the rank that made a group fail is named, with the command that shows its log', () => {
  const message = 'rank 1 on mini-2 exited with code 3 (RankExited)';
  const failed = deployment('m', {
    metadata: { namespace: 'team' },
    status: {
      conditions: [
        condition('Ready', 'False', 'RestartLimitExceeded'),
        condition('Stalled', 'True', 'RestartLimitExceeded', `group 0: ${message}`),
      ],
      groups: [
        group('Failed', { 'mini-1': 'Stopped' }, { reason: 'RestartLimitExceeded', message }),
      ],
    },
  });
  const text = screen({ deployment: failed });
  assert.match(
    text,
    /^team\/m: failed \(RestartLimitExceeded\) for 2m\ngroup 0: rank 1 on mini-2 /,
  );
  assert.match(text, /\n {2}group 0: Failed, RestartLimitExceeded for 4m: rank 1 on mini-2 exited/);
  assert.match(text, /espalier logs m --group 0 --rank 1 -n team/);
  assert.match(text, /espalier undo m -n team/);
});

test('a ready deployment needs no advice, warns of nothing and says where it is', () => {
  const ready = deployment('m', {
    status: {
      conditions: [
        condition('Ready', 'True', 'AllRanksAnswered', 'every rank of 1 group answered'),
      ],
      readyReplicas: 1,
      updatedReplicas: 1,
      observed: { decodeTokensPerSecond: '41.2' },
      endpoint: { url: 'http://127.0.0.1:8080/default/m/v1' },
      groups: [group('Ready', { 'mini-1': 'Ready' })],
    },
  });
  assert.equal(
    screen({ deployment: ready }),
    [
      'default/m: ready for 2m',
      'every rank of 1 group answered',
      '',
      'Serving   yes: 1 of 1 groups, 41.2 tokens/s, at http://127.0.0.1:8080/default/m/v1',
      'Revision  none',
      '',
      'Group 0   Ready for 3m, revision m-1',
      '  RANK   NODE     LAYERS   STATE',
      '  0      mini-1   0-31     Ready',
    ].join('\n'),
  );
});

test('after a rollback the revision that failed is not what it moves to', () => {
  const revisions = { currentRevision: 'm-1', updateRevision: 'm-2', effectiveRevision: 'm-1' };
  const moving = deployment('m', { status: revisions });
  assert.match(screen({ deployment: moving }), /^Revision {2}\? \(m-1\) → \? \(m-2\)$/m);
  const failedRevision = { name: 'm-2', reason: 'RestartLimitExceeded', message: 'it exited' };
  const back = deployment('m', { status: { ...revisions, failedRevision } });
  assert.match(screen({ deployment: back }), /^Revision {2}\? \(m-1\), back from \? \(m-2\)$/m);
});

test('bars and colours are for terminals; a pipe gets one plain line per look', () => {
  assert.match(
    screen({ deployment: loading }, true),
    /\nUpdated {3}█{24} 1 of 1\nRanks {5}░{24} 0 of 3\n/,
  );
  const plain = screen({ deployment: loading });
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(plain, /[\u001B█░]/);
  const report = reportStatus({ deployment: loading, nodes: [], revisions: [], events: [] });
  assert.equal(
    statusLine(report),
    'default/m in progress (AwaitingRanks), 0/1 groups serve: because of AwaitingRanks',
  );
});

test('a degraded deployment is ready, and says beside that what it gave up', () => {
  const degraded = deployment('m', {
    status: {
      conditions: [
        condition('Ready', 'True', 'AllRanksAnswered'),
        condition('Degraded', 'True', 'DegradedPlan', 'group 0 gave up: FewerNodes'),
      ],
      groups: [group('Ready', { 'mini-1': 'Ready' })],
    },
  });
  const text = screen({ deployment: degraded });
  assert.match(text, /Degraded \(DegradedPlan\) for 2m: group 0 gave up: FewerNodes/);
  assert.match(text, /espalier plan m says what is missing/);
});

test('whatever has failed, there is something to do', () => {
  for (const reason of ['ModelFolderMissing', 'NeverHeardOf']) {
    const failed = deployment('m', {
      status: { conditions: [condition('Stalled', 'True', reason)] },
    });
    assert.match(
      screen({ deployment: failed }),
      /What to do\n(.*\n)* {2}go back .*espalier undo m$/,
    );
  }
});
