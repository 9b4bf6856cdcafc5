import { test } from 'node:test';
import * as fc from '../support/fast-check.ts';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import { spec } from '../planner/builders.ts';
import { play } from './rollout-model.ts';
import type { Command, Move, Setup } from './rollout-model.ts';

/** SEED and PATH_TO, as a failing run prints them, play that one again; RUNS plays more. */
const { RUNS = '40', PATH_TO = '' } = process.env;

const strategies: fc.Arbitrary<ModelDeploymentSpec['strategy']> = fc.record({
  type: fc.constantFrom('RollingUpdate', 'RollingUpdate', 'RollingUpdate', 'Recreate'),
  rollingUpdate: fc
    .constantFrom([0, 1], [1, 0], [1, 1], [2, 0], [0, 2])
    .chain(([maxUnavailable = 0, maxSurge = 0]) =>
      fc.constantFrom(0, 0, 0, 1, 2).map((partition) => ({ maxUnavailable, maxSurge, partition })),
    ),
  onFailure: fc.constantFrom('Hold', 'Rollback'),
});

const contextLengths = fc.constantFrom(512, 1024, 2048);
const groupNumbers = fc.nat(4);
const words = (
  ...names: ('revert' | 'pause' | 'resume' | 'restart' | 'controlPlane' | 'return')[]
) => fc.constantFrom(...names).map((name): Command => ({ do: name }));

const commands: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: contextLengths.map((contextLength): Command => ({ do: 'edit', contextLength })),
  },
  { weight: 1, arbitrary: fc.constant<Command>({ do: 'break' }) },
  { weight: 3, arbitrary: words('revert') },
  { weight: 4, arbitrary: words('pause', 'resume', 'resume', 'restart', 'controlPlane', 'return') },
  {
    weight: 2,
    arbitrary: fc
      .integer({ min: 1, max: 4 })
      .map((replicas) => ({ do: 'scale', replicas }) as const),
  },
  { weight: 1, arbitrary: strategies.map((strategy): Command => ({ do: 'strategy', strategy })) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom('kill', 'kill', 'lose', 'cutOff'), groupNumbers)
      .map(([what, group]): Command => ({ do: what, group })),
  },
);

const moves: fc.Arbitrary<Move> = fc.record({
  command: commands,
  steps: fc.constantFrom(1, 2, 4, 8, 16, 32, 100),
});

const struck: fc.Arbitrary<Command> = groupNumbers.map((group) => ({ do: 'kill', group }));

/** What goes wrong most easily: groups that fall in the midst of something, and minds that are changed twice. */
const stories: fc.Arbitrary<Move[]> = fc
  .tuple(
    fc.constantFrom<Command>(
      { do: 'break' },
      { do: 'edit', contextLength: 2048 },
      { do: 'restart' },
    ),
    fc.constantFrom(4, 16, 40),
    fc.oneof(words('pause', 'revert', 'restart'), struck),
    fc.constantFrom(1, 12),
    struck,
    fc.constantFrom(16, 220),
  )
  .map(([first, early, second, late, third, end]) => [
    { command: first, steps: early },
    { command: second, steps: late },
    { command: third, steps: end },
  ]);

/** A story, or any few moves. */
const chapters = fc.oneof(stories, fc.array(moves, { minLength: 1, maxLength: 4 }));

const setups: fc.Arbitrary<Setup> = fc
  .record({
    seed: fc.nat(1_000_000),
    strategy: strategies,
    replicas: fc.integer({ min: 1, max: 4 }),
    minReadySeconds: fc.constantFrom(0, 0, 5),
    maxGroupRestarts: fc.constantFrom(2, 50),
    isBusy: fc.boolean(),
  })
  .map(({ seed, isBusy, maxGroupRestarts, ...fields }) => ({
    seed,
    isBusy,
    spec: spec({
      ...fields,
      parallelism: { strategy: 'Single' },
      restartPolicy: { maxGroupRestarts, backoffSeconds: 1 },
      runtime: { ...spec().runtime, contextLength: 1024 },
      drainTimeoutSeconds: 10,
    }),
  }));

test('whatever user and fate do, a rollout keeps its promises at every step and ends at the last spec', async () => {
  await fc.assert(
    fc.asyncProperty(setups, fc.array(chapters, { minLength: 1, maxLength: 4 }), (setup, told) =>
      play(setup, told.flat()),
    ),
    {
      numRuns: Number(RUNS),
      ...(PATH_TO === '' ? {} : { path: PATH_TO }),
      interruptAfterTimeLimit: 600_000,
      markInterruptAsFailure: true,
    },
  );
});
