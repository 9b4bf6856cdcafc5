import { hostOf } from '../capacity.ts';
import { compareText } from '../eligibility.ts';
import type { Plan, PlanNode, PlanResult } from '../types.ts';

/** A group of another deployment that holds memory. */
export interface PlacedGroup {
  /** namespace/name. */
  deployment: string;
  index: number;
  /** Of its deployment. */
  priority: number;
  isReady: boolean;
  /** RFC 3339, since when it runs. */
  since: string;
  /** Whatever is decided here, of any priority. */
  isLeaving?: boolean;
  ranks: readonly { nodeName: string; memoryBytes: number }[];
}

export interface Preemption {
  /** What fits once the victims are gone. */
  plan: Plan;
  /** The cheapest first, those that leave anyway among them; none where nobody has to leave. */
  victims: PlacedGroup[];
}

interface Wish {
  /** Only groups of a lower one make room. */
  priority: number;
  /** With all memory that is held as used. */
  nodes: readonly PlanNode[];
  /** Of all other deployments. */
  groups: readonly PlacedGroup[];
  plan: (nodes: readonly PlanNode[]) => PlanResult;
}

/**
 * Which groups of lower priority leave so that one more group finds a place; undefined when it has none even without
 * all of them. Were any one of the victims to stay, there would be none either.
 *
 * Who is dearer to lose stays before who is cheaper: the smallest number of groups, the cheapest first, is looked for
 * without which there is a plan. Of these only those are victims that stand on the plan's hosts; and each of them, the
 * dearest first, is left alone if there is a plan with it. More room never takes a place away, so a binary search finds
 * that number: 2 + log2(groups) plans, and one more for each further group on the plan's hosts.
 */
export const preempt = ({ priority, nodes, groups, plan }: Wish): Preemption | undefined => {
  const lower = byCost(groups.filter((group) => group.isLeaving || group.priority < priority));
  const planWithout = (gone: readonly PlacedGroup[]) => plan(nodesWithout(nodes, gone));
  let found = planWithout(lower);
  let [tooFew, enough] = [-1, lower.length];
  while (found.ok && enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2);
    const result = planWithout(lower.slice(0, middle));
    if (result.ok) [found, enough] = [result, middle];
    else tooFew = middle;
  }
  if (!found.ok) return undefined;
  const last = lower[enough - 1];
  let victims = inTheWay(nodes, lower.slice(0, enough), found.plan);
  for (const group of victims.toReversed()) {
    if (group === last || !victims.includes(group)) continue;
    const others = victims.filter((victim) => victim !== group);
    const result = planWithout(others);
    if (!result.ok) continue;
    found = result;
    victims = inTheWay(nodes, others, result.plan);
  }
  return { plan: found.plan, victims };
};

/**
 * The cheapest to lose first: what leaves anyway; of the lowest priority; not Ready yet; with others of its deployment
 * that serve on; the youngest.
 */
const byCost = (groups: readonly PlacedGroup[]): PlacedGroup[] => {
  const lastToServe = new Set(
    [...Map.groupBy(groups.filter(isReady), ({ deployment }) => deployment).values()].flatMap(
      (ready) => ready.toSorted(byAge)[0] ?? [],
    ),
  );
  const loss = (group: PlacedGroup): number => (lastToServe.has(group) ? 2 : group.isReady ? 1 : 0);
  return groups.toSorted(
    (a, b) =>
      Number(b.isLeaving ?? false) - Number(a.isLeaving ?? false) ||
      a.priority - b.priority ||
      loss(a) - loss(b) ||
      byAge(b, a),
  );
};

const isReady = (group: PlacedGroup): boolean => group.isReady;

/** The oldest first, ties by name. */
const byAge = (a: PlacedGroup, b: PlacedGroup): number =>
  compareText(a.since, b.since) || compareText(a.deployment, b.deployment) || a.index - b.index;

const nodesWithout = (nodes: readonly PlanNode[], gone: readonly PlacedGroup[]): PlanNode[] => {
  const freed = new Map<string, number>();
  for (const { nodeName, memoryBytes } of gone.flatMap(({ ranks }) => ranks)) {
    freed.set(nodeName, (freed.get(nodeName) ?? 0) + memoryBytes);
  }
  return nodes.map((node) => {
    const bytes = freed.get(node.name) ?? 0;
    return bytes > 0 ? { ...node, usedMemoryBytes: node.usedMemoryBytes - bytes } : node;
  });
};

/** Nodes of one host draw on one memory. */
const inTheWay = (
  nodes: readonly PlanNode[],
  groups: readonly PlacedGroup[],
  { ranks }: Plan,
): PlacedGroup[] => {
  const hosts = new Map(nodes.map((node) => [node.name, hostOf(node)]));
  const wanted = new Set(ranks.map(({ nodeName }) => hosts.get(nodeName)));
  return groups.filter((group) =>
    group.ranks.some(({ nodeName }) => wanted.has(hosts.get(nodeName))),
  );
};
