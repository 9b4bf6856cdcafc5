/**
 * The process of one rank: `node rank.ts --run-directory DIR`. Started by a node daemon, which outlives neither
 * it nor is outlived by rule: the two know each other through files in the run directory only.
 */
import { parseArgs } from 'node:util';

import { systemClock } from '../../base/clock.ts';
import { createLogger } from '../../base/logger.ts';
import { loadAddon } from '../../transport/addon.ts';
import { readLaunch } from './launch.ts';
import { RankProcess } from './rank-process.ts';

const { values } = parseArgs({ options: { 'run-directory': { type: 'string' } } });
const runDirectory = values['run-directory'];
if (runDirectory === undefined) throw new Error('Expected --run-directory DIR.');

const launch = await readLaunch(runDirectory);
const rank = new RankProcess({
  launch,
  runDirectory,
  loadAddon,
  clock: systemClock,
  random: Math.random,
  logger: createLogger({ name: 'rank' }).child({ rank: launch.assignment.id }),
  exit: (code) => process.exit(code),
});
process.on('SIGTERM', () => rank.stop());
process.on('SIGINT', () => rank.stop());
process.on('uncaughtException', (error) => rank.fail(error));
process.on('unhandledRejection', (error) => rank.fail(error));
await rank.start();
