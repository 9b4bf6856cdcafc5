/**
 * Resolves with the first of these signals. Listen before starting anything that must be stopped. Later ones
 * change nothing: a signal to a process group often comes twice (npm hands on what its child got already),
 * and the second must not end the process in the midst of its stop, whose steps all have deadlines.
 */
export const stopSignal = async (
  signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM'],
): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    for (const signal of signals) process.on(signal, resolve);
  });
