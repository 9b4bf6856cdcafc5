import type { SimFleet } from '../support/sim-fleet.ts';
import { World } from '../sim/world.ts';
import { groupKey, movedTo } from './recording.ts';
import type { Recording } from './recording.ts';

/** Nodes go on reporting, and no rank takes another step. */
export const standStill = async (world: World, seconds: number): Promise<void> => {
  for (let step = 0; step < seconds * 2; step += 1) {
    holdRanks(world.fleet);
    await world.run(0.5);
  }
};

export const holdRanks = ({ nodes }: SimFleet): void => {
  for (const { ranks } of nodes) for (const rank of ranks.values()) rank.nextMs = Infinity;
};

export const newWorld = (nodeNames: string[], seed: number): World => {
  const world = new World(nodeNames, seed);
  world.server.restore('/secrets', [groupKey]);
  return world;
};

/** How long the operator was away, in simulated time. */
const awayMs = 2000;

/** The nodes as they were recorded: what they obey and what they run, standing still. */
export const restoreNodes = (fleet: SimFleet, { nodes }: Recording): void => {
  for (const { name, boots, document, ranks, decodeTokensPerSecond, ...facts } of nodes) {
    const node = Object.assign(fleet.node(name), facts);
    if (decodeTokensPerSecond !== null) node.decodeTokensPerSecond = decodeTokensPerSecond;
    const { isUp } = node;
    for (let boot = 1; boot < boots; boot += 1) node.boot();
    node.isUp = isUp;
    if (document) node.receive(document);
    for (const [id, rank] of Object.entries(ranks))
      node.ranks.set(id, { ...rank, nextMs: Infinity });
  }
};

/** A world in which the present operator comes up over what another one left behind. */
export const worldOf = (recording: Recording): World => {
  const world = newWorld(
    recording.nodes.map(({ name }) => name),
    1,
  );
  const { objects } = movedTo(
    recording,
    recording.time,
    new Date(world.clock.now().getTime() - awayMs),
  );
  for (const [collection, list] of Object.entries(objects)) world.server.restore(collection, list);
  restoreNodes(world.fleet, recording);
  return world;
};
