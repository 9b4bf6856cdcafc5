import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Command, Option } from 'commander';
import { errorFacts } from '../../base/errors.ts';
import { createLogger } from '../../base/logger.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { keepHeapLean } from '../lean-heap.ts';
import { catalogueOption, portOption, reachableAddress } from '../options.ts';
import { stopSignal } from '../../base/stop-signal.ts';

interface OperatorCommandOptions {
  kubeconfig?: string;
  context?: string;
  namespace: string;
  identity?: string;
  hubHost: string;
  hubPort: number;
  routerHost: string;
  routerPort: number;
  routerAdvertise?: { host: string; port: number };
  metricsHost: string;
  metricsPort: number;
  catalogue: string[];
}

export const operatorCommand = (): Command =>
  new Command('operator')
    .description('Run the control plane over a Kubernetes API server: operator, hub and router')
    .option(
      '--kubeconfig <file>',
      'kubeconfig; otherwise $KUBECONFIG, the service account of this pod, ~/.kube/config',
    )
    .option('--context <name>', 'context of the kubeconfig, its current one by default')
    .option('--namespace <name>', 'where the Lease and the Secret are kept', 'espalier-system')
    .addOption(
      new Option(
        '--identity <name>',
        'name of this replica in the Lease; a restarted one of the same name leads again at once',
      ).env('ESPALIER_IDENTITY'),
    )
    .option(
      '--hub-host <host>',
      'where node daemons dial in; loopback only until node identity exists',
      '127.0.0.1',
    )
    .addOption(portOption('--hub-port <port>', 'port of the hub', 7480))
    .option(
      '--router-host <host>',
      'where the router listens; it asks nobody for a password, so loopback unless you name another',
      '127.0.0.1',
    )
    .addOption(portOption('--router-port <port>', 'port of the OpenAI-compatible endpoint', 8080))
    .addOption(
      new Option(
        '--router-advertise <address:port>',
        'where pods reach the router of this replica; the Service espalier-router leads there',
      ).argParser(reachableAddress),
    )
    .option(
      '--metrics-host <host>',
      'where /metrics, /healthz and /readyz are served; 0.0.0.0 for the probes of a pod',
      '127.0.0.1',
    )
    .addOption(portOption('--metrics-port <port>', 'port of /metrics, /healthz and /readyz', 8081))
    .addOption(catalogueOption())
    .addHelpText(
      'after',
      `
One replica leads, by the Lease espalier-operator; the others stand by. Logs are JSON lines on stderr
(ESPALIER_LOG_LEVEL: debug, info, warn, error). SIGTERM and Ctrl-C stop the control plane and give the Lease up;
ranks keep running. A replica that loses the Lease stops writing at once and exits with an error; while the API
server is away, and nobody can take over, its router answers on.

Examples:
  espalier operator
  espalier operator --kubeconfig ~/.kube/fleet --context prod
  espalier operator --router-host 10.0.0.7 --router-advertise 10.0.0.7:8080`,
    )
    .action(async (options: OperatorCommandOptions) => operate(options));

const operate = async (options: OperatorCommandOptions): Promise<void> => {
  keepHeapLean();
  const logger = createLogger({ name: 'espalier' });
  // Loaded here: the other commands need none of it and start in half the time.
  const { startKubernetesOperator } = await import('../kubernetes-operator.ts');
  const fenced = Promise.withResolvers<string>();
  const ended = Promise.race([stopSignal().then(() => undefined), fenced.promise]);
  const operator = startKubernetesOperator({
    kubeconfig: options.kubeconfig,
    context: options.context,
    namespace: options.namespace,
    identity: options.identity ?? `${hostname()}_${randomUUID()}`,
    hub: { host: options.hubHost, port: options.hubPort },
    router: { host: options.routerHost, port: options.routerPort },
    advertise: options.routerAdvertise,
    health: { host: options.metricsHost, port: options.metricsPort },
    catalogueFiles: options.catalogue,
    logger,
    onFenced: fenced.resolve,
  });
  try {
    const leading = await Promise.race([operator.leading, ended.then(() => undefined)]);
    if (leading) {
      const { hubUrl, routerUrl } = leading;
      logger.info({ hubUrl, routerUrl: `${routerUrl}/v1` }, 'control plane runs');
    }
    const fencedBy = await ended;
    if (fencedBy !== undefined) exitSoon(fencedBy);
  } catch (error) {
    // What has begun to log ends with a line of the log.
    logger.fatal(errorFacts(error), 'operator ends');
    throw new CommandFailure(exitCodes.failure, '');
  } finally {
    await operator.stop();
  }
};

const exitDeadlineMs = 5000;

/** Nothing is written any more; a stop that hangs must not keep a replica that leads no more. */
const exitSoon = (why: string): never => {
  setTimeout(() => process.exit(exitCodes.failure), exitDeadlineMs).unref();
  throw new CommandFailure(exitCodes.failure, `this replica leads no more: ${why}`);
};
