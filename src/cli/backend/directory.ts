import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { rename, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { canonicalJson } from '../../base/canonical-json.ts';
import { errorMessage } from '../../base/errors.ts';
import { readDocuments } from '../../resources/documents.ts';
import { defaultNamespace } from '../../resources/metadata.ts';
import { loadSchemas } from '../../resources/schemas.ts';
import { openReadOnly } from '../../store/directory/read-only.ts';
import type { StateView } from '../../store/directory/read-only.ts';
import { readControlPlaneAddress } from '../control-plane-file.ts';
import { mergePatch } from '../edit/merge-patch.ts';
import { changedSpec } from '../edit/changed-spec.ts';
import { unifiedDiff } from '../edit/unified-diff.ts';
import { editYaml } from '../edit/yaml-edit.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { fetchReports } from '../reports.ts';
import type { Backend, Namespace, Proposal, SpecEdit } from './backend.ts';
import { editedObject, keyOf } from './edited-object.ts';

/** Reads a state directory, whether its control plane runs or not. Edits go to the YAML that it was read from. */
export const openDirectoryBackend = (stateDirectory: string): Backend => {
  const view = (): StateView => openReadOnly(stateDirectory);
  view();
  return {
    kind: 'directory',
    place: `the state directory ${stateDirectory}`,
    defaultNamespace,
    deployments: async (namespace) => inNamespace(view().deployments(), namespace),
    nodes: async () => view().nodes(),
    revisions: async (namespace) => inNamespace(view().revisions(), namespace),
    events: async (namespace) =>
      view()
        .events()
        .filter(({ regarding }) => isIn(regarding, namespace))
        .toSorted((left, right) => (left.lastTimestamp < right.lastTimestamp ? -1 : 1)),
    problems: async () => view().problems(),
    reports: async () => fetchReports(readControlPlaneAddress(stateDirectory).hubUrl),
    propose: async (edit) => proposeEdit(view(), stateDirectory, edit),
  };
};

const inNamespace = <T extends { metadata: { namespace?: string } }>(
  objects: readonly T[],
  namespace: Namespace,
): T[] => objects.filter(({ metadata }) => isIn(metadata, namespace));

/** What has no namespace is in all of them. */
const isIn = (named: object, namespace: Namespace): boolean =>
  namespace === undefined ||
  !('namespace' in named) ||
  named.namespace === undefined ||
  named.namespace === namespace;

const proposeEdit = (view: StateView, stateDirectory: string, edit: SpecEdit): Proposal => {
  const object = editedObject([...view.deployments(), ...view.nodes()], edit);
  const file = view.sourceFile(keyOf(edit));
  const { directory } = readControlPlaneAddress(stateDirectory);
  if (file === undefined || directory === undefined) {
    throw new CommandFailure(
      exitCodes.failure,
      `${stateDirectory} does not say which directory it is the state of; start the control plane anew with this version`,
    );
  }
  const path = join(directory, file);
  const { after, changes } = changedSpec(object, edit);
  const before = readText(path);
  const patch = mergePatch(object.spec, after);
  const text = patch === undefined ? before : editYaml(before, keyOf(edit), patch);
  if (patch !== undefined) assertWanted({ text, path, edit });
  return {
    changes,
    diff: unifiedDiff(before, text ?? before, file),
    hold: {
      option: '--write',
      explanation: `${path} says what is wanted, so the change belongs there; nothing was written. Make it there, or run this again with --write.`,
    },
    ...(isInGit(directory)
      ? {
          afterwards: `${path} is in a Git checkout: commit it, or the next checkout takes it back`,
        }
      : {}),
    apply: async ({ dryRun }) => {
      if (!dryRun && text !== undefined) await replaceFile(path, text);
    },
  };
};

const isInGit = (folder: string): boolean =>
  existsSync(join(folder, '.git')) || (dirname(folder) !== folder && isInGit(dirname(folder)));

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CommandFailure(
      exitCodes.failure,
      `${path}, where the control plane read it, cannot be read here: ${errorMessage(error)}; run this where the directory is`,
      { cause: error },
    );
  }
};

/** The edited file must be valid and say what was asked for: aliases and merge keys can come between. */
const assertWanted = (input: { text: string | undefined; path: string; edit: SpecEdit }): void => {
  const { text, path, edit } = input;
  const key = keyOf(edit);
  const { objects, problems } = readDocuments(text ?? '', path, loadSchemas());
  const read = objects.find(
    ({ kind, metadata }) =>
      kind === key.kind && metadata.name === key.name && metadata.namespace === key.namespace,
  );
  const wanted = read && changedSpec(read, edit).defaulted;
  if (read && canonicalJson(read.spec) === canonicalJson(wanted)) return;
  const why = problems.map(({ line, message }) => `line ${line}: ${message}`).join('; ');
  throw new CommandFailure(
    exitCodes.invalidInput,
    `${path} cannot be changed by this command${why === '' ? '' : ` (${why})`}; edit it by hand`,
  );
};

/** As a whole, for the control plane may read it at any moment. Names that start with a dot are not read. */
const replaceFile = async (path: string, text: string): Promise<void> => {
  const real = realpathSync(path);
  const beside = join(dirname(real), `.${basename(real)}.${process.pid}.tmp`);
  await writeFile(beside, text, { mode: (await stat(real)).mode });
  await rename(beside, real);
};
