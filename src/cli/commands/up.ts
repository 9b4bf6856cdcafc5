import { Command } from 'commander';
import { createLogger } from '../../base/logger.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { keepHeapLean } from '../lean-heap.ts';
import { catalogueOption, portOption, stateDirectoryOption } from '../options.ts';
import { print } from '../output.ts';
import { stopSignal } from '../../base/stop-signal.ts';

interface UpOptions {
  directory: string;
  stateDir: string;
  hubHost: string;
  hubPort: number;
  routerPort: number;
  metricsPort?: number;
  catalogue: string[];
}

export const upCommand = (): Command =>
  new Command('up')
    .description('Run the control plane over a directory of YAML: operator, hub and router')
    .requiredOption(
      '-d, --directory <directory>',
      'directory of YAML to watch, for instance a Git checkout',
    )
    .addOption(stateDirectoryOption())
    .option(
      '--hub-host <host>',
      'where node daemons dial in; loopback only until node identity exists',
      '127.0.0.1',
    )
    .addOption(portOption('--hub-port <port>', 'port of the hub', 7480))
    .addOption(portOption('--router-port <port>', 'port of the OpenAI-compatible endpoint', 8080))
    .addOption(
      portOption('--metrics-port <port>', 'serve /metrics, /healthz and /readyz on this port'),
    )
    .addOption(catalogueOption())
    .addHelpText(
      'after',
      `
Logs are JSON lines on stderr (ESPALIER_LOG_LEVEL: debug, info, warn, error). SIGTERM and Ctrl-C stop the
control plane; ranks keep running and are found again by the next one. Port 0 means any free port.

Examples:
  espalier up -d /etc/espalier
  espalier up -d fleet/ --state-dir /var/lib/espalier --router-port 8000`,
    )
    .action(async (options: UpOptions) => up(options));

const up = async (options: UpOptions): Promise<void> => {
  keepHeapLean();
  const logger = createLogger({ name: 'espalier' });
  // Loaded here: the other commands need none of it and start in half the time.
  const { startOperator } = await import('../operator.ts');
  const signalled = stopSignal();
  const fenced = Promise.withResolvers<string>();
  const operator = await startOperator({
    directory: options.directory,
    stateDirectory: options.stateDir,
    hub: { host: options.hubHost, port: options.hubPort },
    router: { host: '127.0.0.1', port: options.routerPort },
    catalogueFiles: options.catalogue,
    ...(options.metricsPort === undefined
      ? {}
      : { health: { host: '127.0.0.1', port: options.metricsPort } }),
    logger,
    onFenced: fenced.resolve,
  });
  print(`hub     ${operator.hubUrl}   (espalier node --name NAME --hub ${operator.hubUrl})`);
  print(`router  ${operator.routerUrl}/v1`);
  if (operator.healthUrl !== undefined) print(`metrics ${operator.healthUrl}/metrics`);
  const fencedBy = await Promise.race([signalled.then(() => undefined), fenced.promise]);
  await operator.stop();
  if (fencedBy !== undefined) {
    throw new CommandFailure(
      exitCodes.failure,
      `another control plane has taken over: ${fencedBy}`,
    );
  }
};
