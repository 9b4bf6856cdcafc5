import { applyDefaults } from './defaulting.ts';
import { identify, mentionsEspalier } from './document-kind.ts';
import { defaultNamespace, withoutStoreOwnedFields } from './metadata.ts';
import { apiVersion } from './schemas.ts';
import type { KindSchema, Schemas } from './schemas.ts';
import { formatPath, isObject } from './structural-schema.ts';
import type { FieldPath } from './structural-schema.ts';
import type { ClusterNodeSpec, ModelDeploymentSpec } from './types.ts';
import { describe, problemMessage, problemsFromAjv } from './validation-problem.ts';
import type { DocumentKey, FieldProblem, ValidationProblem } from './validation-problem.ts';
import { readYaml } from './yaml-source.ts';
import type { YamlDocument } from './yaml-source.ts';

/** A valid document: what the user wants, defaulted. */
export type DesiredObject = DesiredModelDeployment | DesiredClusterNode;
export type DesiredModelDeployment = Desired<'ModelDeployment', ModelDeploymentSpec, string>;
export type DesiredClusterNode = Desired<'ClusterNode', ClusterNodeSpec, undefined>;

interface Desired<Kind extends string, Spec, Namespace> {
  apiVersion: typeof apiVersion;
  kind: Kind;
  metadata: {
    name: string;
    namespace: Namespace;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: Spec;
  file: string;
  line: number;
}

/** Something that was left out on purpose: a document of another API, or a field that only stores set. */
export interface Note {
  file: string;
  line: number;
  message: string;
}

export interface Documents {
  objects: DesiredObject[];
  problems: ValidationProblem[];
  notes: Note[];
  /**
   * Whether some document could not be told apart, so that an object which is not in `objects` may still be
   * meant to be in the file.
   */
  isIncomplete: boolean;
}

/** Larger files are refused; an API server takes no larger objects either. */
export const maxFileBytes = 1 << 20;
const maxProblemsPerDocument = 50;

/**
 * Reads every document of a file. Never throws: what is wrong with one document is a problem, and the
 * others are read all the same. Of two documents with one name the first one counts.
 */
export const readDocuments = (text: string, file: string, schemas: Schemas): Documents => {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxFileBytes) {
    return unreadableFile(file, `at most ${maxFileBytes} bytes`, `${bytes} bytes: split the file`);
  }
  const documents = readYaml(text).filter((document) => !document.isEmpty);
  const results = documents.map((document) => readDocument({ document, file, schemas }));
  const merged = mergeDocuments(results);
  // An emptied file is more often an accident (a full disk, a save half done) than a wish to delete.
  return { ...merged, isIncomplete: merged.isIncomplete || text.trim() === '' };
};

/** For files that cannot be read at all. */
export const unreadableFile = (file: string, expected: string, got: string): Documents => {
  const message = `expected ${expected}, got ${got}`;
  return {
    ...nothing,
    problems: [{ file, line: 1, column: 1, path: '', expected, got, message }],
    isIncomplete: true,
  };
};

/**
 * Puts documents together, in order. A name that came before is a problem of the later one, unless
 * `preferredFile` says that the later one's file has the name.
 */
export const mergeDocuments = (
  parts: readonly Documents[],
  preferredFile: (key: DocumentKey) => string | undefined = () => undefined,
): Documents => {
  const all = parts.flatMap((part) => part.objects);
  const winners = new Map<string, DesiredObject>();
  for (const object of all) {
    const name = keyText(object);
    const winner = winners.get(name);
    const isPreferred = preferredFile(documentKey(object)) === object.file;
    if (!winner || (isPreferred && winner.file !== object.file)) winners.set(name, object);
  }
  const losers = all.filter((object) => winners.get(keyText(object)) !== object);
  return {
    objects: [...winners.values()],
    problems: [
      ...parts.flatMap((part) => part.problems),
      ...losers.map((loser) => duplicateProblem(loser, winners.get(keyText(loser)) ?? loser)),
    ],
    notes: parts.flatMap((part) => part.notes),
    isIncomplete: parts.some((part) => part.isIncomplete),
  };
};

export const documentKey = ({ kind, metadata }: DesiredObject): DocumentKey => ({
  kind,
  ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
  name: metadata.name,
});

const keyText = (object: DesiredObject): string =>
  `${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;

const duplicateProblem = (loser: DesiredObject, winner: DesiredObject): ValidationProblem => {
  const expected = `each ${loser.kind} to be named once`;
  const got = `${loser.metadata.name} again, after ${winner.file}:${winner.line}`;
  return {
    file: loser.file,
    line: loser.line,
    column: 1,
    path: 'metadata.name',
    expected,
    got,
    message: `metadata.name: expected ${expected}, got ${got}; the one in ${winner.file} is served`,
    key: documentKey(loser),
  };
};

interface Reading {
  document: YamlDocument;
  file: string;
  schemas: Schemas;
}

const nothing: Documents = { objects: [], problems: [], notes: [], isIncomplete: false };

const readDocument = (reading: Reading): Documents => {
  const { document, file } = reading;
  if (document.syntaxProblems.length > 0) return syntaxResult(reading);
  if (Array.isArray(document.value) && !mentionsEspalier.test(document.text)) {
    return skipped(reading, 'skipped: a list in which nothing names Espalier');
  }
  const identity = identify(document.value, reading.schemas);
  if ('foreign' in identity) {
    return { ...nothing, notes: [{ file, line: document.line, message: identity.foreign }] };
  }
  if ('problem' in identity) {
    return { ...nothing, problems: [located(identity.problem, reading)], isIncomplete: true };
  }
  return readObject(identity.value, identity.schema, reading);
};

const readObject = (
  written: Record<string, unknown>,
  schema: KindSchema,
  reading: Reading,
): Documents => {
  const { value, dropped } = withoutStoreOwnedFields(written);
  const notes = dropped.map((path) => ({
    file: reading.file,
    line: reading.document.position(path, 'key').line,
    message: `${formatPath(path)} is left out: only Espalier sets it`,
  }));
  const key = readableKey(value, schema);
  const defaulted = applyDefaults(value, schema.root) as Record<string, unknown>;
  const problems = fieldProblems(defaulted, schema).slice(0, maxProblemsPerDocument);
  if (problems.length > 0) {
    return {
      ...nothing,
      problems: problems.map((problem) => located(problem, reading, key)).toSorted(inOrder),
      notes,
      isIncomplete: key === undefined,
    };
  }
  const metadata = defaulted['metadata'] as DesiredObject['metadata'];
  const namespace = schema.namespaced ? (metadata.namespace ?? defaultNamespace) : undefined;
  const object = {
    apiVersion,
    kind: schema.kind,
    metadata: { ...metadata, namespace },
    spec: defaulted['spec'],
    file: reading.file,
    line: reading.document.line,
  } as DesiredObject;
  return { ...nothing, objects: [object], notes };
};

/** Rules are checked only when all types fit: CEL over a wrong type says nothing of use. */
const fieldProblems = (value: Record<string, unknown>, schema: KindSchema): FieldProblem[] => {
  const errors = schema.validate(withoutStatus(value));
  if (errors.length > 0) return problemsFromAjv(errors);
  return schema.checkRules(value, undefined, []).map(({ path, message }) => ({
    path,
    at: 'value',
    rule: message,
    expected: message,
    got: describe(valueAt(value, path)),
  }));
};

/** Defaulting adds it; it is not the user's. */
const withoutStatus = ({ status: _status, ...rest }: Record<string, unknown>) => rest;

const valueAt = (value: unknown, path: FieldPath): unknown =>
  path.reduce<unknown>(
    (parent, part) =>
      Array.isArray(parent) ? parent[Number(part)] : isObject(parent) ? parent[part] : undefined,
    value,
  );

const located = (
  problem: FieldProblem,
  { document, file }: Reading,
  key?: DocumentKey,
): ValidationProblem => ({
  file,
  ...document.position(problem.path, problem.at),
  path: formatPath(problem.path),
  expected: problem.expected,
  got: problem.got,
  message: problemMessage(problem),
  ...(key ? { key } : {}),
});

const inOrder = (left: ValidationProblem, right: ValidationProblem): number =>
  left.line - right.line || left.column - right.column;

const syntaxResult = ({ document, file }: Omit<Reading, 'schemas'>): Documents => {
  const [first] = document.syntaxProblems;
  if (!first || !mentionsEspalier.test(document.text)) {
    return skipped({ document, file }, 'skipped: not valid YAML, and nothing in it names Espalier');
  }
  const problems = document.syntaxProblems.slice(0, maxProblemsPerDocument).map((problem) => ({
    file,
    line: problem.line,
    column: problem.column,
    path: '',
    expected: 'valid YAML',
    got: problem.message,
    message: `the document is not valid YAML: ${problem.message}`,
  }));
  return { ...nothing, problems, isIncomplete: true };
};

const skipped = ({ document, file }: Omit<Reading, 'schemas'>, message: string): Documents => ({
  ...nothing,
  notes: [{ file, line: document.line, message }],
  isIncomplete: true,
});

const readableKey = (
  value: Record<string, unknown>,
  schema: KindSchema,
): DocumentKey | undefined => {
  const metadata = isObject(value['metadata']) ? value['metadata'] : {};
  const { name, namespace } = metadata;
  if (typeof name !== 'string' || name === '') return undefined;
  const kind = schema.kind as DocumentKey['kind'];
  if (!schema.namespaced) return { kind, name };
  return { kind, namespace: typeof namespace === 'string' ? namespace : defaultNamespace, name };
};
