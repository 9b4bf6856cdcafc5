import { plan } from '../../src/planner/plan.ts';
import type { ModelDeployment } from '../../src/resources/types.ts';
import { builtInOnly, node as planNode } from '../planner/builders.ts';
import type { World } from './world.ts';

/** Whether one more group of this deployment fits beside the processes that run, whatever any status says of them. */
export const hasRoomFor = (world: World, { metadata, spec }: ModelDeployment): boolean => {
  const nodes = world.fleet.nodes.map(({ name, memoryBytes, ranks }) => {
    const sizes = [...ranks.values()].map(({ assignment }) => assignment.memoryBytes);
    const usedMemoryBytes = sizes.reduce((total, bytes) => total + bytes, 0);
    const {
      hostID,
      chip,
      model: hardwareModel,
      osVersion,
      cpuCount,
    } = world.fleet.node(name).report().host;
    const facts = { hostID, chip, hardwareModel, osVersion, cpuCount };
    return planNode(name, { ...facts, memoryBytes, usedMemoryBytes });
  });
  const { namespace = 'default', name } = metadata;
  const deployment = { namespace, name, spec };
  return plan({ deployment, model: world.model, nodes, catalogue: builtInOnly }).ok;
};
