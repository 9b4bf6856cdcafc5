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

/** The heads of runs of items that `compareRuns` calls equal, in order: as many searches as there are runs. */
export function* headsOf<T>(list: readonly T[], compareRuns: Compare<T>): Generator<number> {
  let index = 0;
  while (index < list.length) {
    const head = list[index];
    if (head === undefined) return;
    yield index;
    index = firstIndex(list, index + 1, (each) => compareRuns(each, head) > 0);
  }
}
