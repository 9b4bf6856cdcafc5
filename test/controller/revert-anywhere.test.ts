import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelDeploymentSpec } from '../../src/resources/types.ts';
import type { Harness } from './harness.ts';
import { contexts, groups, rolledOut, rolling, serving } from './rolling.ts';

const replicas = 2;

type Strategy = ModelDeploymentSpec['strategy'];

const strategies: [title: string, strategy: Strategy, minimum: number][] = [
  ['Recreate', { ...rolling({}, 1024).strategy, type: 'Recreate' }, 0],
  ['RollingUpdate without surge', rolling({}, 1024).strategy, 1],
  ['RollingUpdate with surge', rolling({ maxUnavailable: 0, maxSurge: 1 }, 1024).strategy, 2],
  ['RollingUpdate with both', rolling({ maxUnavailable: 1, maxSurge: 1 }, 1024).strategy, 1],
  ['RollingUpdate with a partition', rolling({ partition: 1 }, 1024).strategy, 1],
];

/** Calls after each write of the deployment's status, before the controller goes on. */
const afterEachWrite = (world: Harness, look: () => void): void => {
  const put = world.state.put.bind(world.state);
  let known = world.state.statusWrites;
  world.state.put = (key, object) => {
    put(key, object);
    const isWrite = world.state.statusWrites > known;
    known = world.state.statusWrites;
    if (isWrite && key.kind === 'ModelDeployment') look();
  };
};

/** Half seconds until it is Ready and no write is under way. */
const untilReady = async (world: Harness): Promise<void> => {
  await world.run(0.5);
  await world.runUntil('ready', () => world.isReady('m'));
};

const start = async (strategy: Strategy): Promise<Harness> =>
  rolledOut(['a', 'b', 'c'], rolling({}, 1024, { strategy, replicas }));

const apply = (world: Harness, contextLength: number, strategy: Strategy): void =>
  world.state.applyDeployment('m', { ...rolling({}, contextLength), strategy, replicas });

for (const [title, strategy, minimum] of strategies) {
  test(`${title}: a revert right after any write of the rollout keeps the promised minimum and what runs`, async () => {
    const counted = await start(strategy);
    let writes = 0;
    afterEachWrite(counted, () => {
      writes += 1;
    });
    apply(counted, 2048, strategy);
    await untilReady(counted);
    assert.ok(writes > 5, `${writes} writes`);

    for (let revertAfter = 1; revertAfter <= writes; revertAfter += 1) {
      const world = await start(strategy);
      const revision = world.deployment('m').status.currentRevision;
      let count = 0;
      let untouched: [index: number, incarnation: number][] = [];
      afterEachWrite(world, () => {
        count += 1;
        assert.ok(serving(world) >= minimum, `revert after write ${revertAfter}: at ${count}`);
        if (count !== revertAfter) return;
        untouched = groups(world)
          .filter(({ state, index, contextLength }) => {
            return state === 'Ready' && contextLength === 1024 && index < replicas;
          })
          .map(({ index, incarnation }) => [index, incarnation]);
        apply(world, 1024, strategy);
      });
      apply(world, 2048, strategy);
      await untilReady(world);
      const where = `reverted after write ${revertAfter} of ${writes}`;
      assert.ok(count >= revertAfter, where);
      assert.deepEqual(contexts(world), [1024, 1024], where);
      for (const [index, incarnation] of untouched) {
        assert.equal(groups(world)[index]?.incarnation, incarnation, `${where}: group ${index}`);
      }
      const { currentRevision, updateRevision } = world.deployment('m').status;
      assert.deepEqual([currentRevision, updateRevision], [revision, revision], where);
      assert.equal(world.state.revisions().length, 2, 'it is recognised');
    }
  });
}
