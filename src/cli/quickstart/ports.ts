import { createServer } from 'node:net';

/** The first of `preferred` that is free on loopback, else any free port. */
export const freePort = async (preferred?: number): Promise<number> => {
  if (preferred !== undefined) {
    const port = await tryBind(preferred);
    if (port !== undefined) return port;
  }
  const port = await tryBind(0);
  if (port === undefined) throw new Error('no free TCP port on 127.0.0.1');
  return port;
};

const tryBind = async (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port }, () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined));
    });
  });
