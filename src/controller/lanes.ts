/** Keys that are ready, each once: urgent ones and others by turns, both in order of arrival. */
export interface Lanes {
  push(key: string): void;
  /** From here until it is shifted the key is urgent, wherever it waits. */
  hurry(key: string): void;
  shift(): string | undefined;
  clear(): void;
  size(): number;
}

export const createLanes = (): Lanes => {
  const others: string[] = [];
  const urgent: string[] = [];
  const hurried = new Set<string>();
  let isUrgentNext = true;

  return {
    push: (key) => void (hurried.has(key) ? urgent : others).push(key),
    hurry: (key) => {
      if (hurried.has(key)) return;
      hurried.add(key);
      const position = others.indexOf(key);
      if (position !== -1) urgent.push(...others.splice(position, 1));
    },
    shift: () => {
      const [first, second] = isUrgentNext ? [urgent, others] : [others, urgent];
      const key = first.shift() ?? second.shift();
      if (key !== undefined) isUrgentNext = !hurried.delete(key);
      return key;
    },
    clear: () => {
      others.length = 0;
      urgent.length = 0;
    },
    size: () => others.length + urgent.length,
  };
};
