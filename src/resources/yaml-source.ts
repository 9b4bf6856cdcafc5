import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { Document, Node } from 'yaml';
import { errorMessage } from '../base/errors.ts';
import type { FieldPath } from './structural-schema.ts';

/** Aliases may multiply a document at most this often; more is a bomb, not configuration. */
const maxAliasCount = 100;

export interface Position {
  line: number;
  column: number;
}

export interface SyntaxProblem extends Position {
  message: string;
}

/** One document of a file: its value as plain JSON data, and where each field stands. */
export interface YamlDocument {
  text: string;
  /** Of its first line, from 1. */
  line: number;
  /** Undefined when there are syntax problems or when the document is empty. */
  value: unknown;
  isEmpty: boolean;
  syntaxProblems: SyntaxProblem[];
  /** Of the field, or of its nearest ancestor that is there. `key` asks for the key rather than the value. */
  position(path: FieldPath, target?: 'key' | 'value'): Position;
}

/**
 * Reads each document by itself, so that an unclosed quote or bracket in one cannot swallow the next: YAML
 * forbids a line that starts with "---" inside any scalar. YAML 1.2 core schema, so yes and on are strings.
 */
export const readYaml = (text: string): YamlDocument[] =>
  splitDocuments(text).map(({ text: part, line }) => readOne(part, line));

/** Cuts before each "---" line. Comments and directives before one belong to the document that it starts. */
const splitDocuments = (text: string): { text: string; line: number }[] => {
  const parts: { text: string; line: number }[] = [];
  let line = 1;
  let prefix = '';
  for (const part of text.split(/^(?=---(?:\s|$))/m)) {
    const whole = prefix + part;
    prefix = onlyCommentsAndDirectives.test(whole) ? whole : '';
    if (prefix !== '') continue;
    parts.push({ text: whole, line });
    line += whole.split('\n').length - 1;
  }
  return parts;
};

const onlyCommentsAndDirectives = /^(?:[ \t]*(?:#.*)?\r?\n|%.*\r?\n)+$/;

const readOne = (text: string, firstLine: number): YamlDocument => {
  const lines = new LineCounter();
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1) + firstLine - 1, column: Math.max(col, 1) };
  };
  const parsed = parse(text, lines);
  if ('failure' in parsed) {
    const syntaxProblems = [{ ...at(0), message: parsed.failure }];
    return {
      text,
      line: firstLine,
      value: undefined,
      isEmpty: false,
      syntaxProblems,
      position: () => at(0),
    };
  }
  const { document, value } = parsed;
  const syntaxProblems = [...document.errors, ...document.warnings].map((problem) => ({
    ...at(problem.pos[0]),
    message: problem.message,
  }));
  return {
    text,
    line: document.contents ? at(document.contents.range[0]).line : firstLine,
    value: syntaxProblems.length === 0 ? value : undefined,
    isEmpty: syntaxProblems.length === 0 && value === null,
    syntaxProblems,
    position: (path, target = 'value') => at(offsetOf(document, path, target)),
  };
};

const parse = (
  text: string,
  lineCounter: LineCounter,
): { document: Document.Parsed; value: unknown } | { failure: string } => {
  try {
    const document = parseDocument(text, {
      lineCounter,
      merge: true,
      prettyErrors: false,
      resolveKnownTags: false,
      logLevel: 'silent',
    });
    const value = document.errors.length === 0 ? document.toJS({ maxAliasCount }) : undefined;
    return { document, value };
  } catch (error) {
    // An alias without an anchor, an alias bomb, or nesting deeper than the stack.
    return { failure: errorMessage(error) };
  }
};

const offsetOf = (document: Document.Parsed, path: FieldPath, target: 'key' | 'value'): number => {
  let node = resolved(document.contents, document);
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, part] of path.entries()) {
    const isLast = depth === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && keyText(item.key) === String(part));
      if (!pair) return offset;
      const key = pair.key as Node;
      const value = pair.value as Node | null;
      // A mapping or list is best shown at its key: its own range starts on the next line.
      const atKey = (isLast && target === 'key') || !isScalar(value);
      offset = (atKey ? key : (value ?? key)).range?.[0] ?? offset;
      node = resolved(value, document);
    } else if (isSeq(node)) {
      const item = node.items[Number(part)] as Node | undefined;
      offset = item?.range?.[0] ?? offset;
      node = resolved(item ?? null, document);
    } else return offset;
  }
  return offset;
};

const keyText = (key: unknown): string => (isScalar(key) ? String(key.value) : '');

const resolved = (node: Node | null, document: Document.Parsed): Node | undefined =>
  (isAlias(node) ? node.resolve(document) : node) ?? undefined;
