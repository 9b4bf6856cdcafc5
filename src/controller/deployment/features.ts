import type { ModelDeploymentSpec } from '../../resources/types.ts';

/** A field that asks for something this release does not have, and what to write instead. */
export interface Unavailable {
  field: string;
  message: string;
}

interface Check {
  field: string;
  asks: (spec: ModelDeploymentSpec) => boolean;
  message: string;
}

/** In order of the spec. One entry per thing that a user may ask for and does not get yet. */
const checks: readonly Check[] = [
  {
    field: 'spec.model.uri',
    asks: ({ model }) => !model.uri.startsWith('file://'),
    message: 'only file:// models can be served; download the folder to every node',
  },
  {
    field: 'spec.model.revision',
    asks: ({ model }) => model.revision !== undefined,
    message: 'a file:// folder cannot be pinned; leave the field out',
  },
  {
    field: 'spec.model.credentialsSecretRef',
    asks: ({ model }) => model.credentialsSecretRef !== undefined,
    message: 'credentials are for remote models, which cannot be fetched; leave the field out',
  },
  {
    field: 'spec.runtime.name',
    asks: ({ runtime }) => runtime.name !== 'Auto' && runtime.name !== 'BuiltIn',
    message: 'only the built-in engine can run ranks; use Auto or BuiltIn',
  },
  {
    field: 'spec.runtime.args',
    asks: ({ runtime }) => runtime.args.length > 0,
    message: 'the built-in engine takes no arguments; leave the list empty',
  },
  {
    field: 'spec.parallelism.expertSize',
    asks: ({ parallelism }) => (parallelism.expertSize ?? 1) > 1,
    message: 'experts cannot be cut; leave the field out',
  },
  {
    field: 'spec.interconnect.mode',
    asks: ({ interconnect }) => interconnect.mode === 'RDMA' && interconnect.fallback === 'Forbid',
    message: 'ranks exchange over TCP only; use Auto or TCP, or fallback Allow',
  },
];

/** Every field of the spec that this release cannot honour. What it cannot honour it refuses. */
export const unavailableFields = (spec: ModelDeploymentSpec): Unavailable[] =>
  checks.filter(({ asks }) => asks(spec)).map(({ field, message }) => ({ field, message }));

/**
 * dataPolicy.egress is Deny by default and enforced by nobody yet. Refusing it would refuse every deployment,
 * so it is said instead: in an event and in the message of the Planned condition.
 */
export const unenforcedNote = ({ dataPolicy }: ModelDeploymentSpec): string | undefined =>
  dataPolicy.egress === 'Deny'
    ? 'spec.dataPolicy.egress: Deny is not enforced yet; restrict the nodes at the firewall'
    : undefined;
