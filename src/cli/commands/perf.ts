import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { Command } from 'commander';
import { EspalierError, errorMessage } from '../../base/errors.ts';
import { perfProgramPath } from '../../transport/perf-program.ts';
import { CommandFailure } from '../exit.ts';

/** Options of espalier-perf (native/bench/perf/options.cpp), which checks their values. */
const options: readonly [flags: string, description: string][] = [
  [
    '--collective <list>',
    'all-reduce, all-gather, reduce-scatter, broadcast, send, barrier or all (default: all-reduce)',
  ],
  ['--link <list>', 'shm, tcp, verbs (default: shm,tcp)'],
  ['--ranks <list>', 'numbers of ranks, 2 to 16 (default: 2)'],
  ['--dtype <list>', 'fp32, bf16, fp16 (default: fp32)'],
  ['--buffers <list>', 'own: from the transport, any: from the heap (default: own,any)'],
  ['--bytes <list>', 'message sizes: 4096,16K,64M (default: 4K to 64M)'],
  ['--in-place', 'the result of an all-reduce takes the place of its input'],
  ['--vs <list>', 'openmpi, ucx: measured in the same run, in turn with ours'],
  ['--no-floor', 'leave out the bare exchanges, which say what the machine allows'],
  ['--rounds <n>', 'rounds per cell (default: 21)'],
  ['--budget-ms <n>', 'longest time of one contender in one round (default: 12)'],
  ['--verbs-devices <list>', 'RDMA device of each rank'],
  ['--json', 'one array of results on stdout instead of tables'],
];

export const perfCommand = (): Command => {
  const command = new Command('perf').description(
    'Latency and bandwidth of the transport on this host, beside Open MPI, UCX and the bare exchange',
  );
  for (const [flags, description] of options) command.option(flags, description);
  return command
    .addHelpText(
      'after',
      `
Ranks are processes on this host, one core each where there are enough. Every value that a library gives is checked
once per cell. Figures are microseconds per call: medians over rounds; a send is half a round trip.

Examples:
  espalier perf
  espalier perf --vs openmpi,ucx --json
  espalier perf --collective all --link tcp --ranks 2,4 --bytes 16K,16M --dtype bf16`,
    )
    .action(async () => {
      await runPerf(nativeArguments(command));
    });
};

/** What the user gave, in the words of the native program. */
const nativeArguments = (command: Command): string[] =>
  command.options.flatMap((option) => {
    const name = option.attributeName();
    if (command.getOptionValueSource(name) !== 'cli') return [];
    const value: unknown = command.getOptionValue(name);
    return typeof value === 'string' ? [option.long!, value] : [option.long!];
  });

/** Runs espalier-perf to its end with our streams; its exit status becomes ours. */
const runPerf = async (args: string[]): Promise<void> => {
  const file = perfProgramPath();
  const child = spawn(file, args, { stdio: 'inherit' });
  // From a terminal it gets Ctrl-C itself; it ends its ranks and its peers before it goes.
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, forward);
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    const status = code ?? 128 + constants.signals[signal!];
    if (status !== 0) throw new CommandFailure(status, '');
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw new EspalierError(
      'PerfUnavailable',
      `${file} cannot be run: ${errorMessage(error)}`,
      { paths: [file] },
      { cause: error },
    );
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
};
