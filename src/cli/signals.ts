/** Resolves with the first of SIGINT and SIGTERM. Listen before starting anything that must be stopped. */
export const stopSignal = async (): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
  });
