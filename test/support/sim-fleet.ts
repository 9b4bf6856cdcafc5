import type { Random } from '../../src/base/random.ts';
import type { NodeLink, ReceivedReport } from '../../src/controller/ports.ts';
import type { NodeDocument, NodeReport, RankError } from '../../src/nodedoc/types.ts';
import type { Clock } from '../../src/base/clock.ts';
import { SimNode } from './sim-node.ts';

/** The process that a hub is in. */
export interface HubHost {
  isGone: () => boolean;
  /** False: it is stopped, and answers when it goes on. */
  isAnswering: () => boolean;
}

/** Simulated nodes and the hub between them and a control plane. */
export interface SimFleet {
  nodes: SimNode[];
  node(name: string): SimNode;
  /** A hub for a new control plane; those before get no reports any more, unless they have a host that goes on. */
  connect(host?: HubHost): NodeLink;
  /** Documents that nodes may fetch now, by node. */
  documents(): NodeDocument[];
  /** What the control plane was told last, by node. */
  latest(nodeName: string): ReceivedReport | undefined;
  /** Every node polls, works and reports once, or not: with some chance each. */
  step(): void;
  /** Ranks of these deployments, or revisions, fail so instead of becoming Ready. */
  poison: Map<string, RankError>;
}

export const simFleet = (names: string[], clock: Clock, random: Random): SimFleet => {
  const poison = new Map<string, RankError>();
  const world = {
    nowMs: () => clock.monotonicMs(),
    random,
    peers: ({ id, deployment }: { id: string; deployment: string }) => {
      const start = id.slice(0, id.lastIndexOf('/') + 1);
      return nodes
        .filter(({ isUp }) => isUp)
        .flatMap(({ ranks }) => [...ranks].filter(([key]) => key.startsWith(start)))
        .map(([, rank]) => rank)
        .filter(({ assignment }) => assignment.deployment === deployment);
    },
    poison: ({ deployment, revision }: { deployment: string; revision: string }) =>
      poison.get(revision) ?? poison.get(deployment),
  };
  const nodes: SimNode[] = names.map((name) => new SimNode(name, world));
  let hubs: { hub: Hub; host: HubHost | undefined }[] = [];
  const current = (): Hub | undefined => hubs.findLast(({ host }) => !host?.isGone())?.hub;

  /** The newest mostly; a node that has not heard of it yet still asks the one before. */
  const dialed = (): Hub | undefined => {
    const answering = hubs.filter(({ host }) => !host || (!host.isGone() && host.isAnswering()));
    const isOld = answering.length > 1 && random() < 0.3;
    return answering.at(isOld ? -2 : -1)?.hub;
  };

  const exchange = (node: SimNode): void => {
    const hub = dialed();
    const document = hub?.handOut(node.name);
    if (document && random() < 0.4) node.receive(document);
    node.step();
    if (random() < 0.7) hub?.accept(node.report());
  };

  return {
    nodes,
    poison,
    node: (name) => {
      const found = nodes.find((node) => node.name === name);
      if (!found) throw new Error(`no simulated node ${name}`);
      return found;
    },
    connect: (host) => {
      const hub = newHub(clock);
      hubs = [...hubs.filter(({ host: other }) => other && !other.isGone()), { hub, host }];
      return hub.link;
    },
    documents: () => current()?.documents() ?? [],
    latest: (nodeName) => current()?.link.latest(nodeName),
    step: () => {
      for (const node of nodes) {
        if (!node.isUp) continue;
        if (node.isCutOff) node.step();
        else exchange(node);
      }
    },
  };
};

type Hub = ReturnType<typeof newHub>;

const newHub = (clock: Clock) => {
  const documents = new Map<string, NodeDocument>();
  const reports = new Map<string, { report: NodeReport; text: string; atMs: number }>();
  const listeners: ((nodeName: string) => void)[] = [];
  let isOpen = false;
  const received = (nodeName: string): ReceivedReport | undefined => {
    const entry = reports.get(nodeName);
    return entry && { report: entry.report, ageMs: clock.monotonicMs() - entry.atMs };
  };
  const link: NodeLink = {
    publish: (document) => void documents.set(document.nodeName, document),
    retract: (nodeName) => {
      const document = documents.get(nodeName);
      if (document) documents.set(nodeName, { ...document, version: 'empty', ranks: [] });
    },
    open: () => {
      isOpen = true;
    },
    latest: received,
    all: () => [...reports.keys()].flatMap((name) => received(name) ?? []),
    onReport: (listener) => void listeners.push(listener),
  };
  return {
    link,
    documents: () => (isOpen ? [...documents.values()] : []),
    handOut: (nodeName: string) => (isOpen ? documents.get(nodeName) : undefined),
    accept: (report: NodeReport) => {
      const text = JSON.stringify(report);
      const isNews = reports.get(report.nodeName)?.text !== text;
      reports.set(report.nodeName, { report, text, atMs: clock.monotonicMs() });
      if (isNews) for (const listener of listeners) listener(report.nodeName);
    },
  };
};
