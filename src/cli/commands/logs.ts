import { Command, InvalidArgumentError } from 'commander';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeReport, RankReport } from '../../nodedoc/types.ts';
import { readControlPlaneAddress } from '../control-plane-file.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { namespaceOption, stateDirectoryOption } from '../options.ts';
import { fetchReports } from '../reports.ts';

interface LogsOptions {
  namespace: string;
  rank: number;
  group: number;
  follow: boolean;
  stateDir: string;
}

export const logsCommand = (): Command =>
  new Command('logs')
    .description("A rank's log, from the node that runs it (this host's nodes only, for now)")
    .argument('<deployment>', 'name of the ModelDeployment, or mdep/<name>')
    .option('--rank <number>', 'rank of the group', wholeNumber, 0)
    .option('--group <index>', 'index of the group', wholeNumber, 0)
    .option('-f, --follow', 'keep printing what is added', false)
    .addOption(namespaceOption())
    .addOption(stateDirectoryOption())
    .addHelpText('after', '\nExamples:\n  espalier logs sprout\n  espalier logs sprout --rank 1 -f')
    .action(async (deployment: string, options: LogsOptions) => logs(deployment, options));

const logs = async (deploymentText: string, options: LogsOptions): Promise<void> => {
  const deployment = deploymentText.split('/').at(-1) ?? deploymentText;
  const { hubUrl } = readControlPlaneAddress(options.stateDir);
  const prefix = `${options.namespace}/${deployment}/${options.group}/`;
  const found = (await fetchReports(hubUrl))
    .flatMap(({ report }) => report.ranks.map((rank) => ({ report, rank })))
    .filter(({ rank }) => rank.id.startsWith(prefix) && rank.rank === options.rank)
    .at(-1);
  if (!found) {
    throw new CommandFailure(
      exitCodes.notFound,
      `no node reports rank ${options.rank} of group ${options.group} of ` +
        `${options.namespace}/${deployment}; "espalier describe mdep ${deployment}" says why`,
    );
  }
  await printLog(logPathOf(found.report, found.rank), options.follow);
};

const logPathOf = (report: NodeReport, rank: RankReport): string => {
  if (rank.logPath !== undefined && existsSync(rank.logPath)) return rank.logPath;
  throw new CommandFailure(
    exitCodes.notFound,
    `the log is on node "${report.nodeName}" (${report.host.address}) at ${rank.logPath ?? 'a path it has not reported'}, ` +
      `which this host (${hostname()}) cannot read; look there`,
  );
};

const printLog = async (path: string, follow: boolean): Promise<void> => {
  let offset = 0;
  for (;;) {
    const { size } = statSync(path);
    if (size < offset) offset = 0;
    if (size > offset) {
      for await (const chunk of createReadStream(path, { start: offset, end: size - 1 })) {
        process.stdout.write(chunk as Buffer);
      }
      offset = size;
    }
    if (!follow) return;
    await sleep(500);
  }
};

const wholeNumber = (text: string): number => {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('a whole number from 0 up');
  return Number(text);
};
