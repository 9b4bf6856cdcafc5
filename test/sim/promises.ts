import assert from 'node:assert/strict';
import { canonicalJson } from '../../src/base/canonical-json.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { assertHonestConditions } from '../controller/honest-conditions.ts';
import { holds } from './broken-promise.ts';
import { EvictionPromises } from './eviction-promises.ts';
import { GroupCount } from './group-count.ts';
import { GroupStarts } from './group-starts.ts';
import { ProcessPromises } from './process-promises.ts';
import { ReadyPromises } from './ready-promises.ts';
import { deploymentNames } from './user.ts';
import type { World } from './world.ts';

/** What must hold at every moment: of every deployment as it is stored, and of everything after each step. */
export class Promises {
  readonly #world: World;
  readonly #processes: ProcessPromises;
  readonly #ready: ReadyPromises;
  readonly #count: GroupCount;
  readonly #starts = new GroupStarts();
  readonly evictions: EvictionPromises;
  readonly #observed = new Map<string, number>();
  /** Specs as they are stored, which change with every write, and are not compared with what was applied twice. */
  readonly #compared = new Map<string, ModelDeployment['spec']>();
  #broken: unknown;

  constructor(world: World) {
    this.#world = world;
    this.#processes = new ProcessPromises(world);
    this.#ready = new ReadyPromises(world);
    this.#count = new GroupCount(world.intents);
    this.evictions = new EvictionPromises(world);
    world.onDeployment = (deployment, isGone) => {
      this.#noteBroken(() => {
        if (isGone) this.#processes.checkGone(deployment.metadata.name);
        else this.#checkStored(deployment);
      });
    };
  }

  check(): void {
    const world = this.#world;
    if (this.#broken !== undefined) throw this.#broken;
    const [staleWord] = world.staleWords;
    const [violation] = world.violations;
    holds('no word of a stale leader', () => assert.ok(staleWord === undefined, staleWord));
    holds('no dishonest condition', () => assert.ok(violation === undefined, violation));
    const leaders = [...world.replicas].filter(
      ({ term, clock }) => term && !clock.isPaused && !term.signal.aborted,
    );
    holds('no two leaders', () => assert.ok(leaders.length <= 1, 'two replicas lead'));
    this.#processes.check();
    for (const name of deploymentNames) this.#checkIntent(name);
    for (const deployment of world.deployments()) this.#ready.check(deployment);
  }

  /** What is thrown while the server acts would look like a fault of the server. */
  #noteBroken(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#broken ??= error;
    }
  }

  #checkStored(deployment: ModelDeployment): void {
    const { uid, name } = deployment.metadata;
    const { observedGeneration } = deployment.status;
    const before = this.#observed.get(uid) ?? -1;
    this.#observed.set(uid, observedGeneration);
    holds('no lost intent', () => {
      assert.ok(before <= observedGeneration, `${name}: observedGeneration goes back`);
    });
    holds('no dishonest condition', () => assertHonestConditions(deployment));
    this.#ready.checkStored(deployment);
    this.#count.checkStored(deployment);
    this.#starts.checkStored(deployment);
    this.evictions.checkStored(deployment);
  }

  #checkIntent(name: string): void {
    const deployment = this.#world.deployment(name);
    const wanted = this.#world.intents.wanted(name);
    const isThere = deployment !== undefined && !deployment.metadata.deletionTimestamp;
    holds('no lost intent', () => {
      assert.equal(isThere, wanted !== undefined, `${name} is there though deleted, or gone`);
      if (!isThere) return;
      if (this.#compared.get(name) === deployment.spec) return;
      const text = `the spec of ${name} is not what was applied`;
      assert.ok(canonicalJson(deployment.spec) === canonicalJson(wanted), text);
      this.#compared.set(name, deployment.spec);
    });
  }
}
