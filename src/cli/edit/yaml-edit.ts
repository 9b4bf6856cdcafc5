import { Document, isAlias, isMap, isNode, isScalar, isSeq, parseDocument, stringify } from 'yaml';
import type { YAMLMap } from 'yaml';
import type { DocumentKey } from '../../resources/validation-problem.ts';
import { isObject } from '../../resources/structural-schema.ts';
import { readYaml } from '../../resources/yaml-source.ts';

/**
 * The text of a YAML file with a merge patch put into the spec of one document. Values are replaced and fields
 * added and removed in place, so that comments, quotes and layout stay; only what cannot be done so (a field
 * within braces, a list of lines) writes that one document anew, with its comments. Undefined when the document is not in the text.
 */
export const editYaml = (text: string, key: DocumentKey, patch: unknown): string | undefined => {
  let offset = 0;
  for (const document of readYaml(text)) {
    const start = text.indexOf(document.text, offset);
    offset = start + document.text.length;
    if (!isDocumentOf(document.value, key)) continue;
    const edited = leavesOf(patch, ['spec']).reduce(setField, document.text);
    return text.slice(0, start) + edited + text.slice(offset);
  }
  return undefined;
};

const isDocumentOf = (value: unknown, key: DocumentKey): boolean => {
  if (!isObject(value) || value['kind'] !== key.kind || !isObject(value['metadata'])) return false;
  const { name, namespace = 'default' } = value['metadata'];
  return name === key.name && (key.namespace === undefined || namespace === key.namespace);
};

/** A field and what it becomes; null: it goes. */
interface Leaf {
  path: string[];
  value: unknown;
}

const leavesOf = (patch: unknown, path: string[]): Leaf[] => {
  if (!isObject(patch) || Object.keys(patch).length === 0) return [{ path, value: patch }];
  return Object.entries(patch).flatMap(([name, value]) => leavesOf(value, [...path, name]));
};

const setField = (text: string, leaf: Leaf): string => {
  const document = parseDocument(text, { merge: true, resolveKnownTags: false });
  return (
    replacedValue(text, document, leaf) ??
    addedField(text, document, leaf) ??
    removedField(text, document, leaf) ??
    rewritten(text, document, leaf)
  );
};

/** Only the characters of the value change: of a scalar, or of a list within brackets. */
const replacedValue = (text: string, document: Document, leaf: Leaf): string | undefined => {
  const { path, value } = leaf;
  const node = document.getIn(path, true);
  if (
    value === null ||
    !isNode(node) ||
    !node.range ||
    isAlias(node) ||
    node.anchor !== undefined
  ) {
    return undefined;
  }
  const [start, end] = node.range;
  const inPlace = isScalar(node)
    ? typeof value !== 'object' && start < end && !node.type?.startsWith('BLOCK')
    : isSeq(node) && node.flow === true && Array.isArray(value);
  if (!inPlace) return undefined;
  return text.slice(0, start) + flowText(value) + text.slice(end);
};

const flowText = (value: unknown): string => {
  const document = new Document(value);
  if (isSeq(document.contents)) document.contents.flow = true;
  return document.toString({ lineWidth: 0, flowCollectionPadding: false }).trimEnd();
};

/** A field more at the end of a mapping in block style. */
const addedField = (
  text: string,
  document: Document,
  { path, value }: Leaf,
): string | undefined => {
  if (value === null || document.hasIn(path)) return undefined;
  const depth = path.findIndex((_, index) => !document.hasIn(path.slice(0, index + 1)));
  const parent = document.getIn(path.slice(0, depth), true);
  if (!isMap(parent) || parent.flow || !parent.range || parent.items.length === 0) return undefined;
  const column = columnOf(text, parent);
  if (column === undefined) return undefined;
  const nested = path
    .slice(depth)
    .reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
  const lines = stringify(nested, { lineWidth: 0 }).trimEnd().split('\n');
  const at = endOfLine(text, parent.range[1]);
  const glue = at > 0 && text[at - 1] !== '\n' ? '\n' : '';
  const indented = lines.map((line) => `${' '.repeat(column)}${line}\n`).join('');
  return text.slice(0, at) + glue + indented + text.slice(at);
};

const columnOf = (text: string, map: YAMLMap): number | undefined => {
  const key = map.items[0]?.key;
  if (!isScalar(key) || !key.range) return undefined;
  return key.range[0] - (text.lastIndexOf('\n', key.range[0] - 1) + 1);
};

/** After the line break that follows; a value in block style has it already. */
const endOfLine = (text: string, offset: number): number => {
  if (offset > 0 && text[offset - 1] === '\n') return offset;
  const lineBreak = text.indexOf('\n', offset);
  return lineBreak === -1 ? text.length : lineBreak + 1;
};

/** A field less in a mapping in block style, with the comment at its end. */
const removedField = (
  text: string,
  document: Document,
  { path, value }: Leaf,
): string | undefined => {
  if (value !== null) return undefined;
  if (!document.hasIn(path)) return text;
  const parent = document.getIn(path.slice(0, -1), true);
  if (!isMap(parent) || parent.flow || parent.items.length < 2) return undefined;
  const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path.at(-1));
  const end = isNode(pair?.value) ? pair.value.range?.[1] : undefined;
  if (!isScalar(pair?.key) || !pair.key.range || end === undefined) return undefined;
  const start = text.lastIndexOf('\n', pair.key.range[0] - 1) + 1;
  return text.slice(0, start) + text.slice(endOfLine(text, end));
};

const rewritten = (text: string, document: Document, { path, value }: Leaf): string => {
  const isThroughAlias = path.some((_, depth) =>
    isAlias(document.getIn(path.slice(0, depth), true)),
  );
  if (isThroughAlias) return text;
  if (value === null) document.deleteIn(path);
  else document.setIn(path, document.createNode(value));
  return document.toString({
    lineWidth: 0,
    indentSeq: !/^( *)[^\s#-][^\n]*:[^\S\n]*\n\1- /m.test(text),
    flowCollectionPadding: !/[{[][^\s{}[\]]/.test(text),
  });
};
