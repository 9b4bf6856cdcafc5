/**
 * Measures the operator at size: `espalier operator` in its own process, over the API server in memory (HTTP on
 * loopback), with simulated nodes that dial its hub as daemons do. Server and nodes share a process and the machine
 * with the operator, so that times are upper bounds.
 *   npm run bench:fleet
 *   npm run bench:fleet -- --nodes 100 --deployments 50 --json
 *   npm run bench:fleet -- --profile DIR      with a .cpuprofile per life of the operator
 */
import { mkdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { serveFakeApi } from './bench/fleet/api-server.ts';
import { FleetBench } from './bench/fleet/measure.ts';
import { Nodes } from './bench/fleet/nodes.ts';
import { OperatorProcess } from './bench/fleet/operator-process.ts';
import { table } from './bench/fleet/table.ts';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    deployments: { type: 'string', default: '500' },
    changes: { type: 'string', default: '200' },
    'idle-seconds': { type: 'string', default: '60' },
    profile: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(
    'npm run bench:fleet [-- --nodes N] [--deployments N] [--changes N] [--idle-seconds N] [--profile DIR] [--json]\n',
  );
  process.exit(0);
}

const nodeNames = Array.from({ length: Number(values.nodes) }, (_, index) => `mac-${index}`);
const deployments = Array.from({ length: Number(values.deployments) }, (_, index) => `m-${index}`);
const changes = Number(values.changes);
const idleSeconds = Number(values['idle-seconds']);
const counts = [nodeNames.length, deployments.length, changes, idleSeconds];
if (!counts.every((count) => Number.isSafeInteger(count) && count > 0)) {
  process.stderr.write('--nodes, --deployments, --changes and --idle-seconds take whole numbers\n');
  process.exit(2);
}
if (values.profile !== undefined) await mkdir(values.profile, { recursive: true });

const note = (text: string): void => void process.stderr.write(`${text}\n`);
const api = await serveFakeApi();
const operator = await OperatorProcess.prepare(api.url, values.profile);
const nodes = new Nodes(nodeNames, operator.hubUrl);
try {
  const bench = new FleetBench({ api, operator, nodes, nodeNames, deployments, note });
  const result = await bench.run({ changes, idleSeconds });
  process.stdout.write(values.json ? `${JSON.stringify(result, null, 2)}\n` : table(result));
} catch (error) {
  note((await operator.log()).split('\n').slice(-20).join('\n'));
  throw error;
} finally {
  nodes.stop();
  await operator.dispose();
  api.close();
}
process.exit(0);
