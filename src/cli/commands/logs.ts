import { Command } from 'commander';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeReport, RankReport } from '../../nodedoc/types.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { namespaceOf, openBackend, withBackendOptions } from '../backend/choose.ts';
import type { BackendOptions } from '../backend/choose.ts';
import type { Backend } from '../backend/backend.ts';
import { wholeNumber } from '../options.ts';
import { bareName } from '../objects.ts';

interface LogsOptions extends BackendOptions {
  rank: number;
  group: number;
  follow: boolean;
}

export const logsCommand = (): Command =>
  withBackendOptions(
    new Command('logs')
      .description("A rank's log, from the node that runs it (this host's nodes only, for now)")
      .argument('<deployment>', 'name of the ModelDeployment, or mdep/<name>')
      .option('--rank <number>', 'rank of the group', wholeNumber, 0)
      .option('--group <index>', 'index of the group', wholeNumber, 0)
      .option('-f, --follow', 'keep printing what is added', false)
      .addHelpText(
        'after',
        '\nExamples:\n  espalier logs sprout\n  espalier logs sprout --rank 1 -f',
      )
      .action(async (deployment: string, options: LogsOptions) => logs(deployment, options)),
  );

const logs = async (deploymentText: string, options: LogsOptions): Promise<void> => {
  const backend = await openBackend(options);
  const namespace = namespaceOf(backend, options);
  const deployment = bareName(deploymentText);
  const reports = (await backend.reports()) ?? noReports(backend);
  const prefix = `${namespace}/${deployment}/${options.group}/`;
  const found = reports
    .flatMap(({ report }) => report.ranks.map((rank) => ({ report, rank })))
    .filter(({ rank }) => rank.id.startsWith(prefix) && rank.rank === options.rank)
    .at(-1);
  if (!found) {
    throw new CommandFailure(
      exitCodes.notFound,
      `no node reports rank ${options.rank} of group ${options.group} of ` +
        `${namespace}/${deployment}; "espalier describe mdep ${deployment}" says why`,
    );
  }
  await printLog(logPathOf(found.report, found.rank), options.follow);
};

/** Logs never leave their Mac: prompts may be in what an engine writes. */
const noReports = (backend: Backend): never => {
  throw new CommandFailure(
    exitCodes.failure,
    `logs stay on the node that wrote them, and ${backend.place} does not have them; ` +
      "on that Mac look into logs/ of its daemon's data directory (.espalier/nodes/<name>)",
  );
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
