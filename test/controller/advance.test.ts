import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeView } from '../../src/controller/fleet/fleet.ts';
import { advanceGroups } from '../../src/controller/groups/advance.ts';
import type { AdvanceInput } from '../../src/controller/groups/advance.ts';
import type { RankReport } from '../../src/nodedoc/types.ts';
import type { PlanResult } from '../../src/planner/types.ts';
import type { GroupStatus } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { nodeReport } from '../support/node-documents.ts';
import { nodeSpec } from './harness.ts';

const now = new Date('2026-11-23T12:00:00Z');
const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();

const member = (nodeName: string, rank: number, state: string) => ({
  nodeName,
  rank,
  tensorRank: rank,
  stage: 0,
  layers: '0-3',
  threads: 1,
  memoryBytes: 100,
  state,
});

/** A group of two ranks on a and b, second start, unless said otherwise. */
const group = (overrides: Partial<GroupStatus>, memberState = 'Ready'): GroupStatus => ({
  index: 0,
  revision: 'm-1',
  incarnation: 2,
  restarts: 0,
  state: 'Ready',
  endpoint: 'http://a/v1',
  readyTime: ago(60),
  members: [member('a', 0, memberState), member('b', 1, memberState)],
  ...overrides,
});

const rank = (
  number: number,
  state: RankReport['state'],
  more: Partial<RankReport> = {},
): RankReport => ({
  id: `default/m/0/${more.id ?? 2}/${number}`,
  rank: number,
  state,
  ...(number === 0 && state === 'Ready' ? { endpointUrl: 'http://a/v1' } : {}),
  ...('error' in more ? { error: more.error } : {}),
});

/** A node that has answered its document. */
const view = (name: string, ranks: RankReport[], overrides: Partial<NodeView> = {}): NodeView => ({
  name,
  node: {
    apiVersion: 'espalier.dev/v1alpha1',
    kind: 'ClusterNode',
    metadata: { name, uid: name, generation: 1, creationTimestamp: ago(1000) },
    spec: nodeSpec(),
    status: {
      observedGeneration: 1,
      conditions: [],
      links: [],
      engines: [],
      cachedModels: [],
      ranks: [],
    },
  },
  presence: 'Present',
  silentMs: 0,
  hasAnswered: true,
  report: nodeReport({ nodeName: name, observedVersion: 'v1', ranks }),
  ...overrides,
});

const refusal: PlanResult = {
  ok: false,
  reason: 'InsufficientMemory',
  message: '3 GiB short on a',
  terminal: false,
  rejected: [],
  options: [],
};

const noPlace = { place: () => refusal, awaitRoom: () => undefined };

const advanceOne = (
  current: GroupStatus | undefined,
  views: NodeView[],
  overrides: Partial<AdvanceInput> = {},
): GroupStatus | undefined =>
  advanceGroups({
    owner: { namespace: 'default', deployment: 'm' },
    groups: current ? [current] : [],
    spec: spec(),
    isDeleting: false,
    isForgiven: false,
    currentRevision: undefined,
    requestsUnderWay: undefined,
    target: { revision: 'm-1', ...noPlace },
    knownRevisions: new Set(['m-1', 'm-2']),
    returnable: new Set(),
    evictions: new Map(),
    fleet: new Map(views.map((each) => [each.name, each])),
    now,
    random: () => 1,
    ...overrides,
  }).groups[0];

const failed = (error: Partial<NonNullable<RankReport['error']>>): Partial<RankReport> => ({
  error: { code: 'RankExited', message: 'exit', terminal: false, ...error },
});
const stopped = group({
  state: 'Stopping',
  after: 'Restart',
  reason: 'RankExited',
  restarts: 1,
  notBefore: ago(-10),
});
const lost: Partial<NodeView> = { presence: 'Lost' };

interface Row {
  title: string;
  group: GroupStatus | undefined;
  views: NodeView[];
  input?: Partial<AdvanceInput>;
  /** Fields that the next state must have; undefined: there is none any more. */
  expect: { [Field in keyof GroupStatus]?: GroupStatus[Field] | undefined } | undefined;
}

const rows: Row[] = [
  {
    title: 'all ranks Ready: stays Ready',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')])],
    expect: { state: 'Ready', incarnation: 2 },
  },
  {
    title: 'one rank still loads: Starting',
    group: group({ state: 'Starting' }, 'Loading'),
    views: [view('a', [rank(0, 'Canary')]), view('b', [rank(1, 'Loading')])],
    expect: { state: 'Starting', endpoint: undefined },
  },
  {
    title: 'the canary of a Ready group is out again: no endpoint until it is back',
    group: group({}),
    views: [view('a', [rank(0, 'Canary')]), view('b', [rank(1, 'Ready')])],
    expect: { state: 'Starting', endpoint: undefined, readyTime: undefined, incarnation: 2 },
  },
  {
    title: 'a rank failed: the group stops, counts it and pauses',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Failed', failed({}))])],
    expect: {
      state: 'Stopping',
      after: 'Restart',
      restarts: 1,
      notBefore: ago(-10),
      reason: 'RankExited',
    },
  },
  {
    title: 'a rank that fails while its process still lives says why',
    group: group({}),
    views: [
      view('a', [rank(0, 'Ready')]),
      view('b', [rank(1, 'Stopping', failed({ code: 'RankUnresponsive' }))]),
    ],
    expect: { state: 'Stopping', reason: 'RankUnresponsive' },
  },
  {
    title: 'two ranks failed: the one that blames nobody is the cause',
    group: group({}),
    views: [
      view('a', [rank(0, 'Failed', failed({ code: 'RankUnresponsive', guiltyRank: 1 }))]),
      view('b', [rank(1, 'Failed', failed({ signal: 'SIGKILL' }))]),
    ],
    expect: { state: 'Stopping', reason: 'RankExited' },
  },
  {
    title: 'a terminal failure waits for the user and is no restart',
    group: group({}),
    views: [
      view('a', [rank(0, 'Failed', failed({ code: 'TokenizerInvalid', terminal: true }))]),
      view('b', [rank(1, 'Ready')]),
    ],
    expect: { state: 'Stopping', after: 'Hold', restarts: 0, reason: 'TokenizerInvalid' },
  },
  {
    title: 'one failure too many: Hold',
    group: group({ restarts: 5 }),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Failed', failed({}))])],
    expect: {
      state: 'Stopping',
      after: 'Hold',
      reason: 'RestartLimitExceeded',
      notBefore: undefined,
    },
  },
  {
    title: 'a failure after long enough Ready is the first one',
    group: group({ restarts: 5, readyTime: ago(301) }),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Failed', failed({}))])],
    expect: { state: 'Stopping', after: 'Restart', restarts: 1 },
  },
  {
    title: 'a rank that was reported is missing, under another boot: it vanished',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [], { hasAnswered: false })],
    expect: { state: 'Stopping', after: 'Restart', reason: 'RankFailed' },
  },
  {
    title: 'a rank that was never reported by a node that has not had its document: wait',
    group: group({ state: 'Starting' }, 'Pending'),
    views: [view('a', [rank(0, 'Pending')]), view('b', [], { hasAnswered: false })],
    expect: { state: 'Starting' },
  },
  {
    title: 'a rank of a Ready group loads anew: its peers will not meet it again',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Loading')])],
    expect: { state: 'Stopping', after: 'Restart' },
  },
  {
    title: 'a group of one rank that loads anew is Starting again',
    group: group({ members: [member('a', 0, 'Ready')] }),
    views: [view('a', [rank(0, 'Loading')])],
    expect: { state: 'Starting', incarnation: 2, restarts: 0 },
  },
  {
    title: 'a lost node: plan anew, no restart counted',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')], lost)],
    expect: { state: 'Stopping', after: 'Replan', reason: 'NodeLost', restarts: 0 },
  },
  {
    title: 'a node that was not heard of since this control plane started changes nothing',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), { ...view('b', []), presence: 'Unheard' }],
    expect: { state: 'Ready' },
  },
  {
    title: 'stopping: a node that still reports a live rank holds the group',
    group: stopped,
    views: [view('a', []), view('b', [rank(1, 'Stopping')])],
    expect: { state: 'Stopping' },
  },
  {
    title: 'stopping: a node that has not answered its document holds the group',
    group: stopped,
    views: [view('a', []), view('b', [], { hasAnswered: false })],
    expect: { state: 'Stopping' },
  },
  {
    title: 'stopping: a lost node does not block, and its loss is no failure of the group',
    group: stopped,
    views: [view('a', []), view('b', [rank(1, 'Ready')], lost)],
    expect: { state: 'Waiting', restarts: 0 },
  },
  {
    title: 'stopping: failed ranks have no process',
    group: stopped,
    views: [view('a', []), view('b', [rank(1, 'Failed')])],
    expect: { state: 'Backoff' },
  },
  {
    title: 'backoff is over: the same ranks, the next start',
    group: group({ state: 'Backoff', notBefore: ago(1) }),
    views: [view('a', []), view('b', [])],
    expect: { state: 'Starting', incarnation: 3 },
  },
  {
    title: 'backoff: no start while a node reports ranks of an earlier one',
    group: group({ state: 'Backoff', notBefore: ago(1) }),
    views: [view('a', []), view('b', []), view('c', [rank(0, 'Ready', { id: '1' })])],
    expect: { state: 'Backoff' },
  },
  {
    title: 'a lost node once reported a higher start: the next one is higher still',
    group: group({ state: 'Backoff', notBefore: ago(1) }),
    views: [view('a', []), view('b', []), view('c', [rank(0, 'Ready', { id: '9' })], lost)],
    expect: { state: 'Starting', incarnation: 10 },
  },
  {
    title: 'a change by the user ends a pause',
    group: group({ state: 'Backoff', notBefore: ago(-86_400) }),
    views: [view('a', []), view('b', [])],
    input: { isForgiven: true },
    expect: { state: 'Starting' },
  },
  {
    title: 'backoff is over, a node is gone: look for another place',
    group: group({ state: 'Backoff', notBefore: ago(1) }),
    views: [view('a', []), view('b', [], lost)],
    expect: { state: 'Waiting', reason: 'InsufficientMemory', members: [] },
  },
  {
    title: 'failed: stays, whatever the fleet does',
    group: group({ state: 'Failed' }),
    views: [view('a', []), view('b', [])],
    expect: { state: 'Failed' },
  },
  {
    title: 'failed: a change by the user starts over',
    group: group({ state: 'Failed', restarts: 6 }),
    views: [view('a', []), view('b', [])],
    input: { isForgiven: true },
    expect: { state: 'Waiting', restarts: 0 },
  },
  {
    title: 'a new revision: the old start stops first',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')])],
    input: { target: { revision: 'm-2', ...noPlace } },
    expect: { state: 'Stopping', after: 'Replan', revision: 'm-1' },
  },
  {
    title: 'paused: the old revision stays',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')])],
    input: { target: { revision: 'm-2', ...noPlace }, spec: spec({ paused: true }) },
    expect: { state: 'Ready' },
  },
  {
    title: 'nothing to start: the running group is left alone',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')])],
    input: { target: undefined },
    expect: { state: 'Ready' },
  },
  {
    title: 'deleting: stop, then go',
    group: group({}),
    views: [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')])],
    input: { isDeleting: true },
    expect: { state: 'Stopping', after: 'Remove' },
  },
  {
    title: 'deleting a group that runs nothing: gone',
    group: group({ state: 'Backoff' }),
    views: [],
    input: { isDeleting: true },
    expect: undefined,
  },
  {
    title: 'no group yet and no place: it waits with the numbers',
    group: undefined,
    views: [],
    expect: { state: 'Waiting', reason: 'InsufficientMemory', message: '3 GiB short on a' },
  },
];

for (const row of rows) {
  test(row.title, () => {
    const next = advanceOne(row.group, row.views, row.input);
    if (row.expect === undefined) return assert.equal(next, undefined);
    const picked = Object.fromEntries(
      Object.keys(row.expect).map((key) => [key, next?.[key as keyof GroupStatus]]),
    );
    assert.deepEqual(picked, row.expect);
  });
}

const preempted: [title: string, before: Partial<GroupStatus>, expect: Partial<GroupStatus>][] = [
  ['starts', { state: 'Starting' }, { state: 'Stopping', after: 'Replan', reason: 'Preempted' }],
  ['serves', {}, { state: 'Stopping', after: 'Replan', reason: 'Preempted' }],
  ['failed and stops', stopped, { after: 'Replan', reason: 'Preempted', restarts: 1 }],
  [
    'is moved',
    { state: 'Stopping', after: 'Replan', reason: 'RollingOut' },
    { state: 'Stopping', reason: 'Preempted' },
  ],
  ['failed and waits', { state: 'Backoff', restarts: 1 }, { state: 'Waiting', restarts: 1 }],
  ['goes for good', { state: 'Stopping', after: 'Remove' }, { after: 'Remove' }],
  ['failed for good', { state: 'Stopping', after: 'Hold', reason: 'X' }, { reason: 'X' }],
  [
    'has no place',
    { state: 'Waiting', members: [] },
    { state: 'Waiting', reason: 'AwaitingRanks' },
  ],
];

for (const [title, before, expected] of preempted) {
  test(`a group that others take the place of, and that ${title}`, () => {
    const views = [view('a', [rank(0, 'Ready')]), view('b', [rank(1, 'Ready')])];
    const evictions = new Map([[0, 'default/chat (priority 10)']]);
    const next = advanceOne(group(before), views, { evictions });
    assert.ok(next);
    assert.deepEqual({ ...next, ...expected }, next);
    const isTold = next.reason === 'Preempted';
    assert.equal(next.message === 'default/chat (priority 10) takes its place', isTold);
  });
}
