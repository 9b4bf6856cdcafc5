import { styleText } from 'node:util';
import type { GroupStatus } from '../../resources/types.ts';
import { age, table } from '../output.ts';
import type { Obstacle } from './obstacles.ts';
import type { StatusReport } from './report.ts';

export interface Look {
  now: Date;
  /** Colours and bars. */
  isTerminal: boolean;
}

/** One screen: is it serving, what is it doing, what is in the way and since when, what to do. */
export const renderStatus = (report: StatusReport, look: Look): string =>
  [headline(report, look), facts(report, look), groups(report, look), ...trouble(report, look)]
    .filter((part) => part !== '')
    .join('\n\n');

/** For pipes: what changes from one look to the next, on one line. */
export const statusLine = (report: StatusReport): string => {
  const { namespace, name, serving, message } = report;
  const count = `${serving.readyGroups}/${serving.wantedGroups} groups serve`;
  return `${namespace}/${name} ${title(report)}, ${count}: ${message}`;
};

const title = ({ state, reason, paused }: StatusReport): string => {
  const words = { Ready: 'ready', InProgress: 'in progress', Failed: 'failed' }[state];
  return `${words}${state === 'Ready' ? '' : ` (${reason})`}${paused ? ', paused' : ''}`;
};

const colours = { Ready: 'green', InProgress: 'yellow', Failed: 'red' } as const;

const headline = (report: StatusReport, { now, isTerminal }: Look): string => {
  const { namespace, name, state, since, message } = report;
  const word = isTerminal ? styleText(colours[state], title(report)) : title(report);
  const forHowLong = since === undefined ? '' : ` for ${age(since, now)}`;
  return `${namespace}/${name}: ${word}${forHowLong}\n${message}`;
};

const facts = (report: StatusReport, { isTerminal }: Look): string => {
  const { serving, plan, state } = report;
  const { readyGroups, wantedGroups, updatedGroups, url, decodeTokensPerSecond } = serving;
  const speed = decodeTokensPerSecond === undefined ? '' : `, ${decodeTokensPerSecond} tokens/s`;
  const where = serving.now && url !== undefined ? `, at ${url}` : '';
  const answer = serving.now ? 'yes' : 'no';
  const isMoving = state !== 'Ready' && isTerminal;
  return [
    `Serving   ${answer}: ${readyGroups} of ${wantedGroups} groups${speed}${where}`,
    `Revision  ${revisionText(report)}`,
    ...(plan === undefined ? [] : [`Plan      ${plan}`]),
    ...(isMoving ? [`Updated   ${bar(updatedGroups, wantedGroups)}`] : []),
    ...(isMoving ? [`Ranks     ${rankBar(report)}`] : []),
  ].join('\n');
};

const revisionText = ({ revision: { current, update, rolledBack } }: StatusReport): string => {
  const text = (named: typeof current): string =>
    named ? `${named.number ?? '?'} (${named.name})` : 'none';
  if (rolledBack) return `${text(current)}, back from ${text(update)}`;
  return current?.name === update?.name ? text(update) : `${text(current)} → ${text(update)}`;
};

const rankBar = (report: StatusReport): string => {
  const members = report.groups.flatMap((group) => group.members);
  return bar(members.filter(({ state }) => state === 'Ready').length, members.length);
};

const barWidth = 24;

const bar = (done: number, all: number): string => {
  const filled = all === 0 ? 0 : Math.min(barWidth, Math.round((barWidth * done) / all));
  return `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)} ${done} of ${all}`;
};

const groups = (report: StatusReport, { now }: Look): string =>
  report.groups
    .map((group) => {
      const { index, state, restarts, members } = group;
      const since = sinceOf(group);
      const head = [
        `Group ${index}   ${state}${since === undefined ? '' : ` for ${age(since, now)}`}`,
        `revision ${group.revision}`,
        ...(restarts > 0 ? [`${restarts} failures in a row`] : []),
      ].join(', ');
      return members.length === 0 ? head : `${head}\n${indented(rankTable(group))}`;
    })
    .join('\n');

const sinceOf = ({ state, readyTime, progressTime }: GroupStatus): string | undefined =>
  state === 'Ready' ? readyTime : progressTime;

const rankTable = ({ members }: GroupStatus): string =>
  table(
    ['rank', 'node', 'layers', 'state'],
    members.map(({ rank, nodeName, layers, state }) => [String(rank), nodeName, layers, state]),
  );

const trouble = (report: StatusReport, look: Look): string[] => {
  const { warnings, obstacles, events, advice } = report;
  return [
    section(
      'Beside that',
      warnings.map(
        ({ type, reason, message, since }) =>
          `${type} (${reason}) for ${age(since, look.now)}: ${message}`,
      ),
    ),
    section(
      'In the way',
      obstacles.map((obstacle) => obstacleLine(obstacle, look)),
    ),
    section(
      'Last warnings',
      events.map(
        ({ lastTimestamp, count, reason, message }) =>
          `${age(lastTimestamp, look.now)} ago${count > 1 ? ` (${count} times)` : ''}: ${reason}: ${message}`,
      ),
    ),
    section('What to do', advice),
  ];
};

const obstacleLine = ({ what, state, since, message }: Obstacle, { now }: Look): string =>
  `${what}: ${state}${since === undefined ? '' : ` for ${age(since, now)}`}${message === undefined ? '' : `: ${message}`}`;

const section = (name: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${name}\n${lines.map((line) => `  ${line}`).join('\n')}`;

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
