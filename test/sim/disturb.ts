import { delay } from '../../src/base/clock.ts';
import type { ClusterNodeSpec } from '../../src/resources/types.ts';
import { nodeSpec } from '../controller/harness.ts';
import type { SimNode } from '../support/sim-node.ts';
import type { Replica } from './replica.ts';
import {
  ask,
  deploymentNames,
  edit,
  nowText,
  pick,
  randomRank,
  randomSpec,
  randomTemplate,
  remove,
  revert,
} from './user.ts';
import type { World } from './world.ts';

/** One thing goes wrong, is changed by a user, or is repaired; repairs are so frequent that most runs most of the time. */
export const disturb = (world: World): void => {
  const sort = world.random();
  if (sort < 0.16) repairEverything(world);
  else if (sort < 0.5) disturbSpec(world, pick(world, deploymentNames));
  else if (sort < 0.68) disturbNode(world, pick(world, world.fleet.nodes));
  else if (sort < 0.84) disturbReplica(world, pick(world, [...world.replicas]));
  else disturbServer(world);
};

const disturbSpec = (world: World, name: string): void => {
  const isPaused = world.intents.wanted(name)?.paused;
  const changes: (() => void)[] = [
    () => ask(world, name, randomSpec(world)),
    () => ask(world, name, randomSpec(world)),
    () => revert(world, name),
    () => revert(world, name),
    () => edit(world, name, randomTemplate(world)),
    () => edit(world, name, { replicas: pick(world, [1, 2, 3]) }),
    () => edit(world, name, randomRank(world)),
    () => edit(world, name, { paused: !isPaused }),
    () => edit(world, name, { restartTime: nowText(world) }),
    () => race(world, name, () => edit(world, name, randomTemplate(world))),
    () => remove(world, name),
  ];
  pick(world, changes)();
};

/** Next time that the operator writes the status, the user is faster by a moment. */
const race = (world: World, name: string, change: () => void): void => {
  let isArmed = true;
  world.onWrite = ({ path }) => {
    if (!isArmed || !path.includes(`/modeldeployments/${name}/status`)) return;
    isArmed = false;
    change();
  };
};

const disturbNode = (world: World, node: SimNode): void => {
  const note = (what: string) => world.trace.note(`node ${node.name} ${what}`);
  const faults: (() => void)[] = [
    () => killSomeRank(world),
    () => killSomeRank(world),
    () => {
      note('loses its power');
      node.crash();
    },
    () => {
      note('is cut off');
      node.isCutOff = true;
    },
    () => void restartDaemon(world, node),
    () => {
      note('has its ClusterNode changed');
      world.apply('ClusterNode', node.name, randomNodeSpec(world));
    },
  ];
  pick(world, faults)();
};

const killSomeRank = (world: World): void => {
  const busy = world.fleet.nodes.filter(({ ranks }) => ranks.size > 0);
  if (busy.length === 0) return;
  const node = pick(world, busy);
  const id = pick(world, [...node.ranks.keys()]);
  world.trace.note(`rank ${id} on ${node.name} is killed`);
  node.kill(id);
};

/** Away for a while; a rank may end meanwhile, and nobody sees it. */
const restartDaemon = async (world: World, node: SimNode): Promise<void> => {
  world.trace.note(`the daemon of ${node.name} starts again`);
  node.isCutOff = true;
  await delay(world.clock, world.random() * 5000);
  const id = pick(world, [...node.ranks.keys()]);
  if (id !== undefined && world.random() < 0.3) node.kill(id);
  node.restartDaemon();
  node.isCutOff = false;
};

const randomNodeSpec = (world: World): ClusterNodeSpec =>
  nodeSpec({
    unschedulable: world.random() < 0.3,
    taints: world.random() < 0.3 ? [{ key: 'maintenance', effect: 'NoExecute' }] : [],
  });

const maxJumpMs = 120_000;

const disturbReplica = (world: World, replica: Replica | undefined): void => {
  if (!replica) return;
  const { identity, network, clock } = replica;
  const faults: (() => void)[] = [
    () => world.kill(replica),
    () => killAtRequest(world),
    () => killAtRequest(world),
    // Not awaited: it takes simulated time.
    () => void world.stop(replica),
    () => void pause(world, replica),
    () => void pause(world, world.leader() ?? replica),
    () => {
      world.trace.note(`${identity} is cut off from the server`);
      network.isDown = true;
      network.cutWatches();
    },
    () => {
      const ms = Math.round((2 * world.random() - 1) * maxJumpMs);
      world.trace.note(`the wall clock of ${identity} jumps by ${ms} ms`);
      clock.jump(ms);
    },
  ];
  pick(world, faults)();
  world.disturb();
};

const mostRequests = 12;

/** Between any two awaits: a process that waits for nothing from outside cannot be told from one that has not begun. */
const killAtRequest = (world: World): void => {
  const leader = world.leader();
  if (!leader) return;
  let left = Math.floor(world.random() * mostRequests);
  const isBefore = world.random() < 0.5;
  const isItsTurn = (replica: Replica): boolean => {
    if (replica !== leader || left < 0) return false;
    left -= 1;
    return left < 0;
  };
  world.onArrival = (replica) => {
    if (!isBefore || !isItsTurn(replica)) return true;
    world.kill(replica, 'is killed before its request is sent');
    return false;
  };
  world.onActed = (replica) => {
    if (!isBefore && isItsTurn(replica)) world.kill(replica, 'is killed before it has its answer');
  };
};

/** SIGSTOP, at times for longer than it may lead. */
const pause = async (world: World, { clock, identity }: Replica): Promise<void> => {
  const forMs = pick(world, [1000, 8000, 12_000, 20_000, 40_000]) * (0.5 + world.random());
  world.trace.note(`${identity} is stopped for ${Math.round(forMs)} ms`);
  clock.pause();
  await delay(world.clock, forMs);
  if (!clock.isPaused) return;
  world.trace.note(`${identity} goes on`);
  world.disturb();
  clock.resume(world.random() < 0.5);
};

const disturbServer = (world: World): void => {
  const faults: (() => void)[] = [
    () => spoilNetworks(world),
    () => spoilNetworks(world),
    () => void loseHistory(world),
    () => void outage(world),
  ];
  pick(world, faults)();
  world.disturb();
};

const spoilNetworks = (world: World): void => {
  const rate = pick(world, [0.1, 0.3, 0.6]);
  world.trace.note(`${rate} of what goes over the network goes wrong`);
  for (const { network } of world.replicas) network.rate = rate;
};

/** Whatever was under way gets no answer, and nobody is answered for a while. */
const outage = async (world: World): Promise<void> => {
  const forMs = pick(world, [500, 5000, 20_000, 60_000]) * (0.5 + world.random());
  world.trace.note(`the API server is down for ${Math.round(forMs)} ms`);
  world.isServerUp = false;
  for (const { network } of world.replicas) network.cutWatches();
  await delay(world.clock, forMs);
  world.disturb();
  world.isServerUp = true;
};

/** Nobody hears for a while what happens, and by then the server has forgotten it. */
const loseHistory = async (world: World): Promise<void> => {
  world.trace.note('nobody can watch for a while');
  const networks = [...world.replicas].map(({ network }) => network);
  for (const network of networks) {
    network.hasNoWatches = true;
    network.cutWatches();
  }
  const revision = pick(world, world.revisions());
  if (revision && world.random() < 0.3) {
    world.trace.note(`somebody deletes ${revision.metadata.name}`);
    world.deleteRevision(revision.metadata.name);
  }
  await delay(world.clock, 1000 + world.random() * 10_000);
  world.server.compact();
  world.disturb();
  for (const network of networks) network.hasNoWatches = false;
};

export const repairEverything = (world: World): void => {
  world.trace.note('everything is repaired');
  world.isServerUp = true;
  for (const { network, clock } of world.replicas) {
    network.rate = 0;
    network.isDown = false;
    network.hasNoWatches = false;
    clock.resume(world.random() < 0.5);
  }
  for (const node of world.fleet.nodes) {
    if (!node.isUp) node.boot();
    node.isCutOff = false;
    world.apply('ClusterNode', node.name, nodeSpec());
  }
  for (const name of deploymentNames) {
    if (!world.deployment(name)) ask(world, name, randomSpec(world));
  }
};
