/** Runs tasks one after the other, in the order of the calls. A task that fails does not stop the next. */
export const serialQueue = () => {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(task: () => Promise<T>): Promise<T> => {
    const result = last.then(task);
    last = result.catch(() => {});
    return result;
  };
};
