/** Lists that are kept in order while what they hold changes: take out, change, put back. */
export type Compare<T> = (a: T, b: T) => number;

/** Where `item` is or belongs: the first place whose item does not come before it. */
const placeOf = <T>(list: readonly T[], item: T, compare: Compare<T>): number =>
  firstIndex(list, 0, (each) => compare(each, item) >= 0);

/** The first index from `from` on for which it holds; it must hold for all after one for which it does. */
const firstIndex = <T>(list: readonly T[], from: number, holds: (item: T) => boolean): number => {
  let low = from;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = list[middle];
    if (item !== undefined && holds(item)) high = middle;
    else low = middle + 1;
  }
  return low;
};

/** `compare` must tell any two items apart, and see the item as it was when it was put in. */
export const takeOut = <T>(list: T[], item: T, compare: Compare<T>): void => {
  const place = placeOf(list, item, compare);
  if (list[place] === item) list.splice(place, 1);
};

export const putIn = <T>(list: T[], item: T, compare: Compare<T>): void => {
  list.splice(placeOf(list, item, compare), 0, item);
};

/** Where the run of items that `compareRuns` calls equal to the one at `head` ends. */
export const endOfRun = <T>(list: readonly T[], head: number, compareRuns: Compare<T>): number => {
  const first = list[head];
  return first === undefined
    ? list.length
    : firstIndex(list, head + 1, (each) => compareRuns(each, first) > 0);
};

/** The first `count` as `compare` has it, of lists so short that sorting them would cost more. */
export const firstOf = <T>(list: readonly T[], count: number, compare: Compare<T>): T[] => {
  const first: T[] = [];
  for (const item of list) {
    let place = first.length;
    for (; place > 0; place -= 1) {
      const before = first[place - 1];
      if (before === undefined || compare(before, item) <= 0) break;
    }
    if (place >= count) continue;
    if (first.length === count) first.pop();
    first.splice(place, 0, item);
  }
  return first;
};
