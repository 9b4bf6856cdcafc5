import assert from 'node:assert/strict';
import type { SimNode } from '../support/sim-node.ts';
import { holds } from './broken-promise.ts';
import type { World } from './world.ts';

/** What the nodes run and are told to run. */
export class ProcessPromises {
  readonly #world: World;
  /** Given up at some time: they run what they have until they hear otherwise, and count again once they answered. */
  readonly #lostOnce = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  check(): void {
    for (const node of this.#world.fleet.nodes) this.#noteLoss(node);
    holds('no duplicate group', () => {
      this.#assertOneStartRuns();
      this.#assertOneStartPublished();
    });
    holds('no memory given twice', () => this.#assertMemory());
  }

  /** When a deployment goes, nothing of it runs any more where anybody could know. */
  checkGone(name: string): void {
    for (const node of this.#reliable()) {
      for (const [id, { state }] of node.ranks) {
        holds('no orphan', () => {
          const isOrphan = id.startsWith(`default/${name}/`) && state !== 'Failed';
          assert.ok(!isOrphan, `${name} is gone, ${id} still runs on ${node.name}`);
        });
      }
    }
  }

  #noteLoss(node: SimNode): void {
    const document = this.#world.fleet.documents().find(({ nodeName }) => nodeName === node.name);
    if (!node.isUp || node.isCutOff || !document) this.#lostOnce.add(node.name);
    else if (node.observedVersion === document.version) {
      const listed = new Set(document.ranks.map(({ id }) => id));
      if ([...node.ranks.keys()].every((id) => listed.has(id))) this.#lostOnce.delete(node.name);
    }
  }

  #assertOneStartRuns(): void {
    const starts = new Map<string, string>();
    for (const node of this.#reliable()) {
      for (const [id, { state }] of node.ranks) {
        if (state === 'Failed') continue;
        const [namespace, deployment, index, incarnation = ''] = id.split('/');
        const group = `${namespace}/${deployment}/${index}`;
        const other = starts.get(group) ?? incarnation;
        assert.equal(incarnation, other, `${group} runs as starts ${other} and ${incarnation}`);
        starts.set(group, incarnation);
      }
    }
  }

  #assertOneStartPublished(): void {
    const starts = new Map<string, number>();
    for (const rank of this.#world.fleet.documents().flatMap(({ ranks }) => ranks)) {
      const group = `${rank.deployment}/${rank.groupIndex}`;
      const other = starts.get(group) ?? rank.incarnation;
      assert.equal(rank.incarnation, other, `documents list two starts of ${group}`);
      starts.set(group, rank.incarnation);
    }
  }

  /** Of documents, and of what runs on nodes that obey them. */
  #assertMemory(): void {
    const { nodes } = this.#world.fleet;
    const sizeOf = new Map(nodes.map(({ name, memoryBytes }) => [name, memoryBytes]));
    for (const { nodeName, ranks } of this.#world.fleet.documents()) {
      const size = sizeOf.get(nodeName) ?? 0;
      const text = `the document of ${nodeName} lists ${sum(ranks)} bytes, it has ${size}`;
      assert.ok(sum(ranks) <= size, text);
    }
    for (const { name, ranks, memoryBytes } of this.#reliable()) {
      const alive = [...ranks.values()].filter(({ state }) => state !== 'Failed');
      const used = sum(alive.map(({ assignment }) => assignment));
      assert.ok(used <= memoryBytes, `${name} runs ${used} bytes, it has ${memoryBytes}`);
    }
  }

  #reliable(): SimNode[] {
    return this.#world.fleet.nodes.filter(({ name, isUp }) => isUp && !this.#lostOnce.has(name));
  }
}

const sum = (sizes: readonly { memoryBytes: number }[]): number =>
  sizes.reduce((total, { memoryBytes }) => total + memoryBytes, 0);
