import type { ModelProfile } from '../../planner/types.ts';
import type { GroupStatus, ModelDeployment, ModelDeploymentStatus } from '../../resources/types.ts';
import type { Context } from '../context.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Target } from '../groups/advance.ts';
import { ownerOf } from '../groups/rank-id.ts';
import type { RollbackInput } from './rollback.ts';

/** What the steps of one reconcile find out for each other. */
export interface Pass {
  context: Context;
  deployment: ModelDeployment;
  fleet: Fleet;
  groups: readonly GroupStatus[];
  now: Date;
  isNewGeneration: boolean;
  profile?: ModelProfile;
  /** Equals spec. */
  revision?: string;
  target?: Target;
  resolvedModel: ModelDeploymentStatus['resolvedModel'];
}

export const knownRevisions = ({ context, deployment }: Pass): ReadonlySet<string> => {
  const { namespace, deployment: name } = ownerOf(deployment);
  return new Set(context.store.revisions(namespace, name).map(({ metadata }) => metadata.name));
};

export const rollbackInput = (pass: Pass): RollbackInput => ({
  deployment: pass.deployment,
  updateRevision: pass.revision ?? pass.deployment.status.updateRevision,
  knownRevisions: knownRevisions(pass),
});
