import { randomInt } from 'node:crypto';
import { freePort } from '../../src/cli/quickstart/ports.ts';

/**
 * A free port that nobody else gets before its server has started, nor while it is down between a kill and a restart:
 * from below the ports that the kernel gives to outgoing connections and to who asks for any.
 */
export const restartablePort = async (): Promise<number> => {
  for (let attempt = 0; attempt < 100; attempt++) {
    const wanted = randomInt(20_000, 32_000);
    if ((await freePort(wanted)) === wanted) return wanted;
  }
  throw new Error('no free port between 20000 and 32000 in 100 attempts');
};
