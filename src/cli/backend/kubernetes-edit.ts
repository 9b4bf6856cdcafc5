import { systemClock } from '../../base/clock.ts';
import { EspalierError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { ClusterNode, ModelDeployment } from '../../resources/types.ts';
import { callApi } from '../../store/kubernetes/call.ts';
import type { ApiClient } from '../../store/kubernetes/client.ts';
import { pathOf } from '../../store/kubernetes/objects.ts';
import type { ApiObject, ApiResource } from '../../store/kubernetes/objects.ts';
import type { Transport } from '../../store/kubernetes/transport.ts';
import { changedSpec } from '../edit/changed-spec.ts';
import { gitChange } from '../edit/git-change.ts';
import { mergePatch } from '../edit/merge-patch.ts';
import { CommandFailure, exitCodes } from '../exit.ts';
import { keyOf, notFound } from './edited-object.ts';
import { gitOwner, isKubectlApplied } from './git-owner.ts';
import type { GitOwner, OwnedMetadata } from './git-owner.ts';
import type { Hold, Proposal, SpecEdit } from './backend.ts';
import { kinds } from '../../store/kubernetes/kinds.ts';

interface Server {
  client: ApiClient;
  transport: Transport;
  random: Random;
}

type Edited = (ModelDeployment | ClusterNode) & ApiObject;

const resourceOf = ({ kind }: SpecEdit): ApiResource =>
  kind === 'ClusterNode' ? kinds.nodes : kinds.deployments;

/** A person's hand, beside "espalier-operator", which never writes a spec. */
const fieldManager = 'espalier-cli';
/** Status writes change the resourceVersion too, so that a race is likely while a rollout is on. */
const maxAttempts = 5;
const readDeadlineMs = 10_000;

export const proposeOnServer = async (server: Server, edit: SpecEdit): Promise<Proposal> => {
  const object = await readWithManagers(server, edit);
  const metadata = object.metadata as OwnedMetadata;
  const { after, changes } = changedSpec(object, edit);
  const owner = gitOwner(metadata);
  return {
    changes,
    diff: gitChange(object, after),
    ...(owner ? { hold: holdFor(owner) } : {}),
    ...afterwards(owner, metadata),
    apply: async ({ dryRun }) => applyEdit(server, edit, { object, isDryRun: dryRun }),
  };
};

const holdFor = ({ name, consequence }: GitOwner): Hold => ({
  option: '--force',
  explanation: `${name} keeps this object as Git says, so nothing was written: commit the change above instead. With --force it is written all the same, but ${consequence}.`,
});

const afterwards = (
  owner: GitOwner | undefined,
  metadata: OwnedMetadata,
): Pick<Proposal, 'afterwards'> => {
  if (owner) return { afterwards: `Git says otherwise: ${owner.consequence}` };
  if (!isKubectlApplied(metadata)) return {};
  return {
    afterwards:
      'this object was applied from a file: change it there too, or the next kubectl apply takes this back',
  };
};

/** The typed client leaves managedFields out, and they say whose hand is on the object. */
const readWithManagers = async (server: Server, edit: SpecEdit): Promise<Edited> => {
  const { namespace, name } = keyOf(edit);
  const resource = resourceOf(edit);
  const context = { ...server, clock: systemClock, take: async () => undefined };
  try {
    return (await callApi(context, {
      method: 'GET',
      path: pathOf(resource, { namespace, name }),
      deadlineMs: readDeadlineMs,
      attemptMs: readDeadlineMs / 3,
      repetition: 'repeatable',
    })) as Edited;
  } catch (error) {
    if (!(error instanceof EspalierError) || error.code !== 'ObjectNotFound') throw error;
    const { items } = await server.client.list(resource, { namespace });
    return notFound(edit.kind, name, items, namespace);
  }
};

/** A compare-and-swap: lists are replaced whole, and nobody else's entry may be lost with that. */
const applyEdit = async (
  { client }: Server,
  edit: SpecEdit,
  { object, isDryRun }: { object: Edited; isDryRun: boolean },
): Promise<void> => {
  const resource = resourceOf(edit);
  const name = keyOf(edit);
  let current = object;
  for (let attempt = 1; ; attempt += 1) {
    const patch = mergePatch(current.spec, changedSpec(current, edit).after);
    if (patch === undefined) return;
    const { resourceVersion } = current.metadata;
    try {
      const options = { fieldManager, isDryRun, resourceVersion };
      const kept = await client.patch<Edited>(resource, name, { spec: patch }, options);
      return assertKept(kept, edit);
    } catch (error) {
      const isLost = error instanceof EspalierError && error.code === 'ObjectChanged';
      if (!isLost || attempt === maxAttempts) throw error;
      current = await client.get<Edited>(resource, name);
    }
  }
};

/** A server drops fields that its CRDs do not have, and says so to nobody. */
const assertKept = (kept: Edited, edit: SpecEdit): void => {
  const { changes } = changedSpec(kept, edit);
  if (changes.length === 0) return;
  throw new CommandFailure(
    exitCodes.failure,
    `the server did not keep ${changes.join(', ')}: its CRDs are older than this program; apply crds/ of this version`,
  );
};
