import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { createProcessMetrics } from '../base/metrics.ts';
import { seededRandom } from '../base/random.ts';
import { loadCatalogue } from '../catalogue/load-catalogue.ts';
import { createDirectoryStore } from '../store/directory/store.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlaneOptions, Stops } from './control-plane.ts';
import { writeControlPlaneAddress } from './control-plane-file.ts';
import { createHealthServer } from './health-server.ts';

export interface OperatorOptions extends Pick<
  ControlPlaneOptions,
  'hub' | 'router' | 'logger' | 'onFenced'
> {
  /** Extend the catalogue of machines, chips, links and engines. */
  catalogueFiles: readonly string[];
  directory: string;
  stateDirectory: string;
  /** Where /metrics, /healthz and /readyz are served; nowhere when it is not given. */
  health?: { host: string; port: number };
}

export interface Operator {
  hubUrl: string;
  routerUrl: string;
  /** Base URL of /metrics, /healthz and /readyz. */
  healthUrl: string | undefined;
  /** Ends requests and polls within bounds; ranks run on. */
  stop(): Promise<void>;
}

/**
 * The control plane of directory mode. When something does not start, what did is stopped again.
 */
export const startOperator = async (options: OperatorOptions): Promise<Operator> => {
  const stops: Stops = [];
  const stop = async (): Promise<void> => {
    for (const each of stops.toReversed()) await each();
  };
  try {
    return { ...(await start(options, stops)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

const start = async (options: OperatorOptions, stops: Stops): Promise<Omit<Operator, 'stop'>> => {
  const { directory, stateDirectory, logger, health } = options;
  const clock = systemClock;
  const random = seededRandom(randomInt(2 ** 32));
  const metrics = createProcessMetrics();
  const catalogue = loadCatalogue(options.catalogueFiles);
  let isLooking = false;
  const healthServer = createHealthServer({
    metrics,
    clock,
    logger: logger.child({ room: 'health' }),
    readiness: [
      {
        name: 'controller',
        problem: () => (isLooking ? undefined : 'has not looked at everything yet'),
      },
    ],
  });
  const healthUrl = health && (await healthServer.listen(health));
  stops.push(async () => healthServer.close());
  const store = await createDirectoryStore({ directory, stateDirectory, clock, random, logger });
  stops.push(async () => store.stop());
  const { hubUrl, routerUrl } = await startControlPlane(
    { ...options, store, catalogue, metrics, random },
    stops,
  );
  isLooking = true;
  await writeControlPlaneAddress(stateDirectory, {
    pid: process.pid,
    hubUrl,
    routerUrl,
    directory: resolve(directory),
  });
  return { hubUrl, routerUrl, healthUrl };
};
