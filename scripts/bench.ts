/**
 * Measures this machine: decode speed of two models in several shapes, the share of the memory's bandwidth
 * that it needs, time from `apply` to Ready, and memory. Takes some minutes; wants the machine for itself.
 *   npm run bench                     the tables of docs/benchmarks.md
 *   npm run bench -- --json           every single measurement
 *   npm run bench -- --rounds 2       fewer rounds than six
 */
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { prepareBandwidthProbe } from './bench/bandwidth.ts';
import { ControlPlane } from './bench/control-plane.ts';
import { busyThreads, measureDecoding, shapes } from './bench/decoding.ts';
import { prepareModels } from './bench/models.ts';
import type { BenchModel } from './bench/models.ts';
import { report } from './bench/report.ts';
import type { Measurements } from './bench/report.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '6' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  process.stdout.write(
    'npm run bench                  the tables of docs/benchmarks.md\n' +
      'npm run bench -- --json        every single measurement\n' +
      'npm run bench -- --rounds 2    fewer rounds than six\n',
  );
  process.exit();
}
const rounds = Number(options.rounds);
if (!Number.isInteger(rounds) || rounds < 1) {
  throw new Error(`--rounds: expected a whole number above 0, got ${options.rounds}`);
}

const main = async (signal: AbortSignal): Promise<void> => {
  const models = await prepareModels(root);
  const probe = prepareBandwidthProbe(root);
  const [processor] = cpus();
  const measured: Measurements = {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cpu: processor?.model ?? 'unknown CPU',
      cores: cpus().length,
      memoryBytes: totalmem(),
      system: `${type()} ${release()}`,
      node: process.versions.node,
    },
    rounds,
    loadAverage: { before: loadavg()[0]!, after: 0 },
    bandwidths: [],
    decodings: [],
    operatorIdleBytes: 0,
    deployments: [],
  };
  for (let round = 1; round <= rounds; round += 1) {
    progress(`decoding, round ${round} of ${rounds}`);
    await measureRound({ models, probe, measured, signal });
  }
  progress('from apply to Ready');
  await measureDeployments({ models, measured, signal });
  measured.loadAverage.after = loadavg()[0]!;
  process.stdout.write(`${options.json ? JSON.stringify(measured, null, 2) : report(measured)}\n`);
};

/** All contenders in turn, so that a machine which slows down slows all of them. */
const measureRound = async (context: {
  models: readonly BenchModel[];
  probe: ReturnType<typeof prepareBandwidthProbe>;
  measured: Measurements;
  signal: AbortSignal;
}): Promise<void> => {
  const { models, probe, measured, signal } = context;
  const threadCounts = new Set(shapes.map(busyThreads));
  const bandwidths = new Map([...threadCounts].map((threads) => [threads, probe(threads)]));
  for (const [threads, bandwidth] of bandwidths)
    measured.bandwidths.push({ threads, ...bandwidth });
  for (const model of models) {
    for (const shape of shapes) {
      const decoding = await measureDecoding({ model, shape, bandwidths, signal });
      const { ranks, threads, link } = shape;
      progress(
        `  ${model.name} ${ranks} × ${threads} ${link}: ${decoding.tokensPerSecond.toFixed(1)} tok/s, ` +
          `others ${decoding.othersPercent?.toFixed(0)} %`,
      );
      measured.decodings.push(decoding);
    }
  }
};

const measureDeployments = async (context: {
  models: readonly BenchModel[];
  measured: Measurements;
  signal: AbortSignal;
}): Promise<void> => {
  const { models, measured, signal } = context;
  await ControlPlane.while(signal, async (controlPlane) => {
    measured.operatorIdleBytes = controlPlane.operatorBytes();
    for (let round = 1; round <= rounds; round += 1) {
      for (const model of models) {
        const deployment = await controlPlane.measure(model, `${model.name}-${round}`);
        progress(`  ${model.name}: Ready after ${deployment.readySeconds.toFixed(2)} s`);
        measured.deployments.push({ model: model.name, ...deployment });
      }
    }
  });
};

const progress = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

// Ends every wait below; each of them stops what it has started.
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupted.abort(new Error(`stopped by ${signal}`)));
}
// Ranks are detached: waiting for their end would not keep this process alive.
const keepAlive = setInterval(() => undefined, 60_000);
try {
  await main(interrupted.signal);
} catch (error) {
  process.stderr.write(`${String(interrupted.signal.reason ?? (error as Error).stack)}\n`);
  process.exitCode = 1;
} finally {
  clearInterval(keepAlive);
}
