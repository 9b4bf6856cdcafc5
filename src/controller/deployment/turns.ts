import type { ModelDeployment } from '../../resources/types.ts';

/**
 * Who plans first. Deployments that wait for a place take their turn by priority, then by age, then by name, each time
 * the room in the fleet may have changed; so two that do not both fit never race, whoever's event came first.
 */
export interface Turns {
  /** Room may have appeared: every waiting deployment gets a new turn. */
  open(): void;
  /** This deployment had its turn. */
  taken(deployment: ModelDeployment): void;
  /** Deployments before this one that wait for a place and have not had their turn; they go first. */
  ahead(deployment: ModelDeployment, all: readonly ModelDeployment[]): ModelDeployment[];
}

export const createTurns = (): Turns => {
  let round = 0;
  const takenIn = new Map<string, string>();
  const stamp = ({ metadata }: ModelDeployment): string => `${round}/${metadata.generation}`;
  return {
    open: () => {
      round += 1;
    },
    taken: (deployment) => {
      takenIn.set(deployment.metadata.uid, stamp(deployment));
    },
    ahead: (deployment, all) =>
      all.filter(
        (other) =>
          wantsPlace(other) &&
          compareTurns(other, deployment) < 0 &&
          takenIn.get(other.metadata.uid) !== stamp(other),
      ),
  };
};

/** Whether the deployment could start a group if it found room. */
export const wantsPlace = ({ metadata, spec, status }: ModelDeployment): boolean => {
  if (metadata.deletionTimestamp) return false;
  if (status.observedGeneration !== metadata.generation) return spec.replicas > 0;
  return (
    status.groups.length < spec.replicas || status.groups.some(({ state }) => state === 'Waiting')
  );
};

/** Negative when `left` goes first. */
export const compareTurns = (left: ModelDeployment, right: ModelDeployment): number =>
  right.spec.priority - left.spec.priority || compareAge(left, right);

const compareAge = (left: ModelDeployment, right: ModelDeployment): number => {
  const [leftAge, rightAge] = [ageOrder(left), ageOrder(right)];
  return leftAge < rightAge ? -1 : leftAge > rightAge ? 1 : 0;
};

const ageOrder = ({ metadata }: ModelDeployment): string =>
  `${metadata.creationTimestamp} ${metadata.namespace ?? 'default'}/${metadata.name}`;
