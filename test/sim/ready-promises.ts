import assert from 'node:assert/strict';
import { findCondition } from '../../src/resources/conditions.ts';
import { revisionHash, revisionName } from '../../src/resources/revision.ts';
import type {
  GroupMember,
  GroupStatus,
  ModelDeployment,
  ModelDeploymentSpec,
} from '../../src/resources/types.ts';
import { holds } from './broken-promise.ts';
import type { World } from './world.ts';

/** The longest backoff of the controller, and of the way to the server. */
const settlingMs = 60_000;
/** Reports wait for the one worker, and its writes for the server. */
const noticeMs = 2000;
/**
 * How old may be what a status says: a node is believed for 40 s after its last report, a write is tried for 30 s and
 * may be on its way for 30 s more; a stopped leader may go on within 15 s.
 */
const longestDelayMs = 120_000;

/** No false Ready: by what the processes of the ranks were, which no control plane can know better. */
export class ReadyPromises {
  readonly #world: World;
  readonly #wasReady = new Set<string>();
  readonly #wrongSinceMs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Of every status at the moment that it stands: nobody has called Ready what was not. */
  checkStored(deployment: ModelDeployment): void {
    const { name, uid } = deployment.metadata;
    const { groups, observedGeneration } = deployment.status;
    holds('no false Ready', () => this.#assertProven(deployment, groups));
    if (!isReady(deployment)) {
      this.#wasReady.delete(uid);
      return;
    }
    const spec =
      this.#world.intents.between(deployment.metadata, observedGeneration, observedGeneration)[0] ??
      deployment.spec;
    holds('no false Ready', () => {
      const serving = groups.filter(({ state }) => state === 'Ready').length;
      const text = `${name} is Ready with ${serving} of ${groups.length} groups serving, ${spec.replicas} were asked for`;
      assert.ok(serving === spec.replicas && groups.length === spec.replicas, text);
      const revision = revisionName(name, revisionHash(spec));
      const old = groups.find((group) => !isHeldBack(group, spec) && group.revision !== revision);
      assert.ok(!old, `${name} is Ready, group ${old?.index} runs revision ${old?.revision}`);
      if (this.#wasReady.has(uid)) return;
      for (const group of groups) this.#assertFresh(deployment, group);
    });
    this.#wasReady.add(uid);
  }

  /** After each step: what has become false is said within a moment, while a control plane can. */
  check(deployment: ModelDeployment): void {
    const { name } = deployment.metadata;
    const nowMs = this.#world.clock.monotonicMs();
    const wrong = this.#mayBeLate() ? undefined : this.#falseClaim(deployment);
    if (wrong === undefined) {
      this.#wrongSinceMs.delete(name);
      return;
    }
    const sinceMs = this.#wrongSinceMs.get(name) ?? nowMs;
    this.#wrongSinceMs.set(name, sinceMs);
    holds('no false Ready', () => {
      assert.ok(nowMs - sinceMs <= noticeMs, `${name} is called Ready, but ${wrong}`);
    });
  }

  #mayBeLate(): boolean {
    const { replicas, disturbedAtMs, clock, isServerUp } = this.#world;
    const isQuiet = clock.monotonicMs() - disturbedAtMs > settlingMs;
    const isFaulty = [...replicas].some(
      ({ network, clock: own }) => network.rate > 0 || network.isDown || own.isPaused,
    );
    return !this.#world.leader() || !isQuiet || isFaulty || !isServerUp;
  }

  #assertProven(deployment: ModelDeployment, groups: readonly GroupStatus[]): void {
    for (const group of groups.filter(({ state }) => state === 'Ready')) {
      assert.equal(group.members.length, worldSize(group), `group ${group.index} lacks members`);
      for (const member of group.members) {
        const id = idOf(deployment, group, member);
        const servedAtMs = this.#world.ranks.servedAtMs(id);
        assert.ok(servedAtMs !== undefined, `${id} was never Ready, its group is called so`);
      }
    }
  }

  #assertFresh(deployment: ModelDeployment, group: GroupStatus): void {
    const nowMs = this.#world.clock.monotonicMs();
    for (const member of group.members) {
      const id = idOf(deployment, group, member);
      const agoMs = nowMs - (this.#world.ranks.servedAtMs(id) ?? -Infinity);
      assert.ok(agoMs <= longestDelayMs, `Ready is written ${agoMs} ms after ${id} served`);
    }
  }

  /** What a Ready deployment's ranks say that is something else. */
  #falseClaim(deployment: ModelDeployment): string | undefined {
    const { metadata, status } = deployment;
    if (!isReady(deployment) || status.observedGeneration !== metadata.generation) return undefined;
    for (const group of status.groups) {
      for (const member of group.members) {
        const id = idOf(deployment, group, member);
        const latest = this.#world.fleet.latest(member.nodeName);
        const report = latest?.report.ranks.find((each) => each.id === id);
        if (report?.state !== 'Ready') return `${id} is ${report?.state ?? 'not reported'}`;
      }
    }
    return undefined;
  }
}

const isReady = ({ status }: ModelDeployment): boolean =>
  findCondition(status.conditions, 'Ready')?.status === 'True';

const worldSize = ({ members }: GroupStatus): number =>
  (Math.max(...members.map(({ tensorRank }) => tensorRank)) + 1) *
  (Math.max(...members.map(({ stage }) => stage)) + 1);

const idOf = (
  { metadata }: ModelDeployment,
  { index, incarnation }: GroupStatus,
  { rank }: GroupMember,
): string => `default/${metadata.name}/${index}/${incarnation}/${rank}`;

/** Below the partition of a rolling update a group stays what it was. */
const isHeldBack = ({ index }: GroupStatus, { strategy }: ModelDeploymentSpec): boolean =>
  strategy.type === 'RollingUpdate' && index < strategy.rollingUpdate.partition;
