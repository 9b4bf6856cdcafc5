/** Steps on stderr: one line each when it is done, rewritten in place on a terminal. */
export const createProgress = (stream: NodeJS.WriteStream) => {
  const live = stream.isTTY;
  let pending = false;
  const clear = () => {
    if (pending) stream.write('\r\u001b[2K');
    pending = false;
  };
  return {
    /** What is going on now; in a pipe each new text is a line of its own. */
    doing(text: string): void {
      if (live) {
        clear();
        stream.write(`… ${text}`.slice(0, Math.max(20, (stream.columns ?? 80) - 1)));
        pending = true;
      } else stream.write(`… ${text}\n`);
    },
    done(text: string): void {
      clear();
      stream.write(`${live ? '\u001b[32m✓\u001b[0m' : '✓'} ${text}\n`);
    },
  };
};

export type Progress = ReturnType<typeof createProgress>;
