/** Resolves with the first of these signals. Listen before starting anything that must be stopped. */
export const stopSignal = async (
  signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'],
): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    for (const signal of signals) process.once(signal, resolve);
  });
