/** Lines around a change that are shown with it. */
const contextLines = 3;
/** Beyond this many comparisons a change is shown as one block. */
const maxComparisons = 4_000_000;

type Step = [mark: ' ' | '-' | '+', line: string];

/** The difference between two texts as `git apply` and `patch` take it; empty when they are equal. */
export const unifiedDiff = (before: string, after: string, path: string): string => {
  if (before === after) return '';
  const steps = stepsBetween(linesOf(before), linesOf(after));
  const hunks = hunksOf(steps).map((hunk) => hunkText(steps, hunk));
  return [`--- a/${path}`, `+++ b/${path}`, ...hunks].join('\n');
};

const linesOf = (text: string): string[] =>
  text === '' ? [] : text.replace(/\n$/, '').split('\n');

/** The shortest way from one to the other, by their longest common subsequence. */
const stepsBetween = (before: string[], after: string[]): Step[] => {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start])
    start += 1;
  let end = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (end < shorter && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return [
    ...before.slice(0, start).map(same),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ];
};

const same = (line: string): Step => [' ', line];

const middle = (before: string[], after: string[]): Step[] => {
  if (before.length * after.length > maxComparisons) {
    return [...before.map((line): Step => ['-', line]), ...after.map((line): Step => ['+', line])];
  }
  const common = commonLengths(before, after);
  const steps: Step[] = [];
  let left = 0;
  let right = 0;
  while (left < before.length || right < after.length) {
    if (left < before.length && before[left] === after[right]) {
      steps.push([' ', before[left]!]);
      left += 1;
      right += 1;
    } else if (
      right === after.length ||
      (left < before.length && common[left + 1]![right]! >= common[left]![right + 1]!)
    ) {
      steps.push(['-', before[left]!]);
      left += 1;
    } else {
      steps.push(['+', after[right]!]);
      right += 1;
    }
  }
  return steps;
};

/** lengths[i][j]: of the longest common subsequence of what follows i in one and j in the other. */
const commonLengths = (before: string[], after: string[]): Uint32Array[] => {
  const lengths = before.map(() => new Uint32Array(after.length + 1));
  lengths.push(new Uint32Array(after.length + 1));
  for (let left = before.length - 1; left >= 0; left -= 1) {
    for (let right = after.length - 1; right >= 0; right -= 1) {
      lengths[left]![right] =
        before[left] === after[right]
          ? lengths[left + 1]![right + 1]! + 1
          : Math.max(lengths[left + 1]![right]!, lengths[left]![right + 1]!);
    }
  }
  return lengths;
};

interface Hunk {
  from: number;
  to: number;
}

/** Ranges of steps that hold a change with its context; those that touch are one. */
const hunksOf = (steps: readonly Step[]): Hunk[] => {
  const hunks: Hunk[] = [];
  for (const [index, [mark]] of steps.entries()) {
    if (mark === ' ') continue;
    const from = Math.max(0, index - contextLines);
    const to = Math.min(steps.length, index + contextLines + 1);
    const last = hunks.at(-1);
    if (last && from <= last.to) last.to = to;
    else hunks.push({ from, to });
  }
  return hunks;
};

const hunkText = (steps: readonly Step[], { from, to }: Hunk): string => {
  const position = (mark: '-' | '+'): string => {
    const isIn = ([each]: Step) => each === ' ' || each === mark;
    const skipped = steps.slice(0, from).filter(isIn).length;
    const count = steps.slice(from, to).filter(isIn).length;
    return `${mark}${count === 0 ? skipped : skipped + 1},${count}`;
  };
  const lines = steps.slice(from, to).map(([mark, line]) => `${mark}${line}`);
  return [`@@ ${position('-')} ${position('+')} @@`, ...lines].join('\n');
};
