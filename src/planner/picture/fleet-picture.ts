import { compareText } from '../eligibility.ts';
import { worldSize } from '../shapes.ts';
import type { MemoryBreakdown, ModelProfile, Plan, PlanNode } from '../types.ts';

/** What a drawing of planned deployments shows: every node, what lies on it, and what each cable carries. */
export interface FleetPicture {
  nodes: PictureNode[];
  cables: PictureCable[];
}

export interface PictureNode {
  name: string;
  hardware: string;
  memoryBytes: number;
  shards: { deployment: string; label: string; memory: MemoryBreakdown }[];
}

/** A pair of nodes that is joined, or that exchanges over the network; `a` sorts before `b`. */
export interface PictureCable {
  a: string;
  b: string;
  /** The best link that is declared or reported: Thunderbolt5, Ethernet, …; "Network" where none is. */
  type: string;
  /** What plans use it for; absent: nothing. */
  mode?: 'RDMA' | 'TCP';
  /** Both directions, for one decoded token of each deployment that uses it. */
  bytesPerToken: number;
}

export interface PicturedPlan {
  deployment: string;
  model: Pick<ModelProfile, 'hiddenSize'>;
  plan: Pick<Plan, 'ranks' | 'tensorSize' | 'pipelineSize' | 'interconnectMode' | 'hopMode'>;
}

/** Activations travel at 16 bits in every engine that is planned for. */
const activationBytes = 2;
/** After the attention output and after the MLP. */
const allReducesPerLayer = 2;

/** Nodes and cables in order of name. */
export const fleetPicture = (
  nodes: readonly PlanNode[],
  plans: readonly PicturedPlan[],
): FleetPicture => {
  const cables = new Map<string, PictureCable>();
  for (const node of nodes) {
    for (const link of node.links.filter(({ up }) => up)) {
      cableBetween(cables, node.name, link.peerNodeName).type = link.type;
    }
  }
  for (const picture of plans) addTraffic(cables, picture);
  return {
    nodes: nodes
      .toSorted((a, b) => compareText(a.name, b.name))
      .map((node) => ({
        name: node.name,
        hardware: [node.hardwareModel, node.chip].filter((text) => text !== '').join(', '),
        memoryBytes: node.memoryBytes,
        shards: plans.flatMap((picture) => shardsOn(node.name, picture)),
      })),
    cables: [...cables.values()].toSorted((x, y) => compareText(x.a, y.a) || compareText(x.b, y.b)),
  };
};

const shardsOn = (nodeName: string, { deployment, plan }: PicturedPlan): PictureNode['shards'] =>
  plan.ranks
    .filter((rank) => rank.nodeName === nodeName)
    .map(({ rank, tensorRank, firstLayer, endLayer, memory }) => ({
      deployment,
      label: `rank ${rank}: layers ${firstLayer}–${endLayer - 1}${plan.tensorSize > 1 ? `, slice ${tensorRank + 1} of ${plan.tensorSize}` : ''}`,
      memory,
    }));

const addTraffic = (cables: Map<string, PictureCable>, { model, plan }: PicturedPlan): void => {
  const { tensorSize, interconnectMode, hopMode = interconnectMode } = plan;
  if (interconnectMode === 'None' || worldSize(plan) === 1) return;
  const vectorBytes = model.hiddenSize * activationBytes;
  const carry = ([left, right]: [number, number], mode: 'RDMA' | 'TCP', bytes: number): void => {
    const a = plan.ranks[left]?.nodeName;
    const b = plan.ranks[right]?.nodeName;
    if (a === undefined || b === undefined || a === b) return;
    const cable = cableBetween(cables, a, b);
    cable.mode = mode;
    cable.bytesPerToken += bytes;
  };
  for (const { rank, tensorRank, firstLayer, endLayer } of plan.ranks) {
    const allReduces = allReducesPerLayer * (endLayer - firstLayer);
    for (let peer = tensorRank + 1; peer < tensorSize; peer += 1) {
      // Direct exchange: each of the two sends its vector to the other.
      carry([rank, rank - tensorRank + peer], interconnectMode, 2 * allReduces * vectorBytes);
    }
    if (hopMode !== 'None') carry([rank, rank + tensorSize], hopMode, vectorBytes);
  }
};

const cableBetween = (
  cables: Map<string, PictureCable>,
  left: string,
  right: string,
): PictureCable => {
  const [a, b] = left < right ? [left, right] : [right, left];
  const key = `${a}\0${b}`;
  const found = cables.get(key) ?? { a, b, type: 'Network', bytesPerToken: 0 };
  cables.set(key, found);
  return found;
};
