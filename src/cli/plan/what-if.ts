import { parseQuantityBytes } from '../../base/quantity.ts';
import type { PlanNode } from '../../planner/types.ts';
import { CommandFailure, exitCodes } from '../exit.ts';

const linkTypes = ['Thunderbolt5', 'Thunderbolt4', 'Thunderbolt3', 'Ethernet', 'None'];

/** For `--help`. */
export const whatIfHelp = `\
  node/NAME=like/OTHER        one node more, with OTHER's hardware, cabled to OTHER and to all of its peers
  node/NAME=MODEL,MEMORY      one node more, without cables: node/mini-5=Mac16,11,64Gi
  lost/NAME                   one node less
  cable/A,B=TYPE              a cable, or another kind: ${linkTypes.join(', ')}
  os/NAME=VERSION             another version of macOS: os/mini-1=26.1
  memory/NAME=QUANTITY        more memory, or less: memory/mini-1=64Gi`;

/**
 * The fleet with changes that are in no YAML, applied in the order given. Throws CommandFailure (usage) for a
 * change that cannot be read or that names a node which is not there.
 */
export const applyWhatIf = (nodes: readonly PlanNode[], changes: readonly string[]): PlanNode[] =>
  changes.reduce<PlanNode[]>(applyChange, [...nodes]);

const applyChange = (nodes: PlanNode[], change: string): PlanNode[] => {
  const match = /^(node|lost|cable|os|memory)\/([^=]+)(?:=(.+))?$/.exec(change);
  const [, kind = '', target = '', value = ''] = match ?? [];
  if (kind === 'lost' && value === '') {
    find(nodes, target, change);
    return nodes.filter(({ name }) => name !== target);
  }
  if (value === '') throw wrong(change, 'expected one of the forms below');
  if (kind === 'node')
    return [...nodes.map(cabled(target, nodes, value)), added(nodes, target, value, change)];
  if (kind === 'cable') return withCable(nodes, target, value, change);
  const old = find(nodes, target, change);
  return nodes.map((node) => (node === old ? altered(node, kind, value, change) : node));
};

const altered = (node: PlanNode, kind: string, value: string, change: string): PlanNode => {
  if (kind === 'os') {
    if (!/^\d+(\.\d+)*$/.test(value)) {
      throw wrong(change, `expected a version of macOS such as 26.2, got "${value}"`);
    }
    return { ...node, osVersion: value };
  }
  return { ...node, ...known(memoryOf(value, change)) };
};

const memoryOf = (quantity: string, change: string): number => {
  const bytes = parseQuantityBytes(quantity);
  if (bytes === undefined) {
    throw wrong(change, `expected a quantity of memory such as 64Gi, got "${quantity}"`);
  }
  return bytes;
};

/** Memory that is given makes a node plannable whose YAML says none. */
const known = (memoryBytes: number): Pick<PlanNode, 'memoryBytes' | 'available'> => ({
  memoryBytes,
  available: true,
});

const added = (
  nodes: readonly PlanNode[],
  name: string,
  value: string,
  change: string,
): PlanNode => {
  if (nodes.some((node) => node.name === name))
    throw wrong(change, `there is a node ${name} already`);
  const twin = twinOf(value);
  if (twin !== undefined) {
    const model = find(nodes, twin, change);
    const types = new Map(model.links.map(({ peerNodeName, type }) => [peerNodeName, type]));
    // The cable to the twin is of the kind it has to its peers.
    const [type = 'Ethernet'] = types.values();
    return {
      ...model,
      name,
      hostID: name,
      usedMemoryBytes: 0,
      links: [
        ...model.links.map((link) => ({ ...link, up: true })),
        link(twin, type, model.spec.linkPolicy.allowRDMA),
      ],
    };
  }
  const parts = /^(.+),([^,]+)$/.exec(value);
  if (!parts) throw wrong(change, 'expected like/OTHER, or a model and memory: Mac16,11,64Gi');
  return {
    name,
    labels: {},
    spec: {
      unschedulable: false,
      taints: [],
      linkPolicy: { allowRDMA: true, manageNetwork: 'Observe' },
      nodeLostToleranceSeconds: 0,
      links: [],
    },
    hostID: name,
    hardwareModel: parts[1] ?? '',
    chip: '',
    osVersion: '',
    cpuCount: 1,
    usedMemoryBytes: 0,
    engines: [],
    links: [],
    ...known(memoryOf(parts[2] ?? '', change)),
  };
};

const twinOf = (value: string): string | undefined =>
  value.startsWith('like/') ? value.slice('like/'.length) : undefined;

/** The other ends of a new node's cables. */
const cabled =
  (name: string, nodes: readonly PlanNode[], value: string) =>
  (node: PlanNode): PlanNode => {
    const twin = nodes.find((candidate) => candidate.name === twinOf(value));
    if (!twin) return node;
    const type =
      node === twin
        ? (twin.links[0]?.type ?? 'Ethernet')
        : twin.links.find(({ peerNodeName }) => peerNodeName === node.name)?.type;
    if (type === undefined) return node;
    return { ...node, links: [...node.links, link(name, type, node.spec.linkPolicy.allowRDMA)] };
  };

const withCable = (nodes: PlanNode[], ends: string, type: string, change: string): PlanNode[] => {
  const [a = '', b = '', ...more] = ends.split(',');
  if (more.length > 0 || a === b)
    throw wrong(change, 'expected two nodes: cable/mini-1,mini-2=Thunderbolt5');
  if (!linkTypes.includes(type)) {
    throw wrong(change, `expected a kind of cable (${linkTypes.join(', ')}), got "${type}"`);
  }
  find(nodes, a, change);
  find(nodes, b, change);
  return nodes.map((node) => {
    const peer = node.name === a ? b : node.name === b ? a : undefined;
    if (peer === undefined) return node;
    const others = node.links.filter(({ peerNodeName }) => peerNodeName !== peer);
    const fresh = type === 'None' ? [] : [link(peer, type, node.spec.linkPolicy.allowRDMA)];
    return { ...node, links: [...others, ...fresh] };
  });
};

const link = (
  peerNodeName: string,
  type: string,
  allowRDMA: boolean,
): PlanNode['links'][number] => ({
  peerNodeName,
  type,
  rdma: type === 'Thunderbolt5' && allowRDMA,
  up: true,
});

const find = (nodes: readonly PlanNode[], name: string, change: string): PlanNode => {
  const found = nodes.find((node) => node.name === name);
  if (found) return found;
  const names = nodes.slice(0, 8).map((node) => node.name);
  throw wrong(
    change,
    `there is no node ${name}, only ${names.join(', ')}${nodes.length > 8 ? ', …' : ''}`,
  );
};

const wrong = (change: string, what: string): CommandFailure =>
  new CommandFailure(exitCodes.usage, `--what-if ${change}: ${what}\n${whatIfHelp}`);
