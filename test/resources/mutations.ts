import type { Random } from '../../src/base/random.ts';

type Mutation = (text: string, random: Random) => string | Buffer;

/** What people, editors and disks do to YAML. Each takes a good text and damages one place of it. */
const mutations: Readonly<Record<string, Mutation>> = {
  dropLine: (text, random) => editLine(text, random, () => []),
  duplicateLine: (text, random) => editLine(text, random, (line) => [line, line]),
  renameKey: (text, random) =>
    editLine(text, random, (line) => [line.replace(/([A-Za-z])([A-Za-z]*):/, '$2$1x:')]),
  wrongType: (text, random) =>
    editLine(text, random, (line) => [line.replace(/: .*$/, `: ${pick(wrongValues, random)}`)]),
  indentMore: (text, random) => editLine(text, random, (line) => [` ${line}`]),
  indentLess: (text, random) => editLine(text, random, (line) => [line.replace(/^ /, '')]),
  tab: (text, random) => editLine(text, random, (line) => [line.replace(/^ */, '\t')]),
  insert: (text, random) => {
    const at = Math.floor(random() * text.length);
    return (
      text.slice(0, at) +
      pick(['"', "'", '[', '{', '*x ', '&', '!', '%', ': ', '|', '\u0000'], random) +
      text.slice(at)
    );
  },
  truncate: (text, random) => text.slice(0, Math.floor(random() * text.length)),
  flipBit: (text, random) => {
    const bytes = Buffer.from(text);
    const at = Math.floor(random() * bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    return bytes;
  },
};

const wrongValues = ['[1, 2]', '{a: b}', '-1', '1e999', '"text"', 'yes', '~', '3.5', '""', '[[]]'];

/** One damaged text, and the name of what was done to it. */
export const mutate = (
  text: string,
  random: Random,
): { name: string; content: string | Buffer } => {
  const name = pick(Object.keys(mutations), random);
  return { name, content: mutations[name]?.(text, random) ?? text };
};

const editLine = (text: string, random: Random, edit: (line: string) => string[]): string => {
  const lines = text.split('\n').slice(0, -1);
  const at = Math.floor(random() * lines.length);
  return `${lines.toSpliced(at, 1, ...edit(lines[at] ?? '')).join('\n')}\n`;
};

const pick = <T>(values: readonly T[], random: Random): T =>
  values[Math.floor(random() * values.length)] as T;
