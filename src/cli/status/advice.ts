import { programName } from '../invocation.ts';
import type { Obstacle } from './obstacles.ts';
import type { Verdict } from './verdict.ts';

interface Case {
  name: string;
  namespace: string;
  verdict: Verdict;
  obstacles: readonly Obstacle[];
  /** Reasons of the other conditions that are abnormal: Degraded and the like. */
  alsoReasons: readonly string[];
  isPaused: boolean;
}

/** What to do about it, most urgent first; nothing when all is well or when it only takes time. */
export const adviceFor = (input: Case): string[] => {
  const { verdict, obstacles, alsoReasons, isPaused } = input;
  const reasons = [
    verdict.reason,
    ...obstacles.flatMap(({ state }) => state.split(', ')),
    ...alsoReasons,
    ...(isPaused ? ['Paused'] : []),
  ];
  const lines = [...new Set(reasons)].flatMap((reason) => advice[reason]?.(input) ?? []);
  if (lines.length === 0 && verdict.state === 'Failed') lines.push(...goBack(input));
  const failing = obstacles.find(({ rank, state }) => rank && isFailure(state));
  return [...new Set([...lines, ...(failing ? [readLog(input, failing)] : [])])];
};

const isFailure = (state: string): boolean => /Backoff|Failed|Stopping|Stopped/.test(state);

const readLog = (input: Case, { rank, nodeName }: Obstacle): string =>
  `read what rank ${rank?.rank} wrote on ${nodeName}: ` +
  command(input, `logs ${input.name} --group ${rank?.group} --rank ${rank?.rank}`);

const command = ({ namespace }: Case, text: string): string =>
  `${programName} ${text}${namespace === 'default' ? '' : ` -n ${namespace}`}`;

const nodeNames = ({ obstacles }: Case, state: string): string =>
  obstacles
    .filter((obstacle) => obstacle.state === state)
    .flatMap(({ nodeName }) => nodeName ?? [])
    .join(', ');

type Advise = (input: Case) => string[];

const seePlan: Advise = (input) => [
  `see what every option lacks: ${command(input, `plan ${input.name}`)}`,
];
const awaitsNodes: Advise = (input) => [
  `bring nodes back or add some: ${programName} nodes; it goes on by itself when one is there`,
  ...seePlan(input),
];
const goBack: Advise = (input) => [
  `go back to what ran before: ${command(input, `undo ${input.name}`)}`,
];
const fixModel: Advise = (input) => [
  'put the model folder in order on every node that the plan names; it is looked at again every 30 s',
  ...goBack(input),
];

/** By reason. What is missing here takes only time, or its message says all there is. */
const advice: Readonly<Record<string, Advise>> = {
  AwaitingCapacity: (input) => [
    `free memory or add a node: ${programName} nodes shows who holds what`,
    ...seePlan(input),
  ],
  AwaitingFirstReport: (input) => [
    `start the node daemon on ${nodeNames(input, 'AwaitingFirstReport') || 'the node'}: espalier node --name NAME --hub URL`,
  ],
  AwaitingNodes: awaitsNodes,
  BelowMinimumSpeed: seePlan,
  DegradedPlan: (input) => [
    `it serves on less than it asked for: ${command(input, `plan ${input.name}`)} says what is missing`,
  ],
  GenerationNotObserved: () => [
    'if this lasts for more than some seconds, see whether the control plane runs and whether its log complains',
  ],
  InsufficientMemory: seePlan,
  InsufficientNodes: awaitsNodes,
  InvalidSpec: () => ['correct the YAML where the message says; the last good spec keeps running'],
  ModelConfigInvalid: fixModel,
  ModelFileMissing: fixModel,
  ModelFileTruncated: fixModel,
  ModelFolderMissing: fixModel,
  ModelInvalid: fixModel,
  ModelNotFound: fixModel,
  NodeDeleted: awaitsNodes,
  NodeLost: (input) => [
    `see to ${nodeNames(input, 'NodeLost') || 'the lost node'}: power, network, and the daemon (espalier node)`,
  ],
  NotAvailableYet: goBack,
  Paused: (input) => [`let it roll on: ${command(input, `resume ${input.name}`)}`],
  PlanRejected: seePlan,
  ProgressDeadlineExceeded: goBack,
  RestartLimitExceeded: (input) => [
    ...goBack(input),
    `or, with the cause removed, start it anew: ${command(input, `restart ${input.name}`)}`,
  ],
  RolledBack: () => [
    'change the spec in your YAML: the newest one did not work, and the one before it serves',
  ],
  SafetensorsInvalid: fixModel,
  WeightsMissing: fixModel,
};
