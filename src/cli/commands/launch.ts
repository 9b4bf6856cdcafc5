import { Command, InvalidArgumentError, Option } from 'commander';
import { CommandFailure } from '../exit.ts';

interface LaunchOptions {
  ranks: number;
  link?: 'shm' | 'tcp';
  prefix: boolean;
}

const maxRanks = 64;

const parseRanks = (text: string): number => {
  const ranks = Number(text);
  if (Number.isInteger(ranks) && ranks >= 1 && ranks <= maxRanks) return ranks;
  throw new InvalidArgumentError(`a whole number from 1 to ${maxRanks}`);
};

export const launchCommand = (): Command =>
  new Command('launch')
    .description('Run a program as several ranks on this host; MLX in it finds the others')
    .argument('<program...>', 'the program and its arguments, after --')
    .requiredOption('--ranks <count>', 'how many processes', parseRanks)
    .addOption(
      new Option('--link <kind>', 'only this kind of link; the best one by itself').choices([
        'shm',
        'tcp',
      ]),
    )
    .option('--no-prefix', 'pass output on as it comes, for programs that ask questions')
    .addHelpText(
      'after',
      `
Each rank gets ESPALIER_RANK, ESPALIER_SIZE, ESPALIER_RENDEZVOUS and MLX_MPI_LIBNAME, so that
mx.distributed.init() in unmodified MLX gives a group over Espalier's transport. Rank 0 gets the input.
When a rank fails, the others have 3 s to say so and end, then SIGTERM, 5 s later SIGKILL; the exit code
is that of the rank that failed first. For ranks on several hosts see docs/transport.md.

Examples:
  espalier launch --ranks 2 -- python3 program.py --verbose
  espalier launch --ranks 2 -- mlx_lm.server --model mlx-community/Llama-3.2-1B-Instruct-4bit
  espalier launch --ranks 2 --no-prefix -- mlx_lm.chat --model ./model`,
    )
    .action(async (program: string[], options: LaunchOptions) => {
      const { launchRanks } = await import('../launch/ranks.ts');
      const code = await launchRanks(program, options);
      if (code !== 0) throw new CommandFailure(code, '');
    });
