import type {
  ClusterNode,
  ModelDeployment,
  ModelDeploymentRevision,
} from '../../resources/types.ts';
import type { ApiObject, ApiResource } from './objects.ts';

const ours = { group: 'espalier.dev', version: 'v1alpha1' } as const;

/** What the control plane reads and writes. */
export const kinds = {
  deployments: { ...ours, plural: 'modeldeployments', isNamespaced: true },
  nodes: { ...ours, plural: 'clusternodes', isNamespaced: false },
  revisions: { ...ours, plural: 'modeldeploymentrevisions', isNamespaced: true },
  leases: { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', isNamespaced: true },
  events: { group: 'events.k8s.io', version: 'v1', plural: 'events', isNamespaced: true },
  services: { group: '', version: 'v1', plural: 'services', isNamespaced: true },
  endpointSlices: {
    group: 'discovery.k8s.io',
    version: 'v1',
    plural: 'endpointslices',
    isNamespaced: true,
  },
  secrets: { group: '', version: 'v1', plural: 'secrets', isNamespaced: true },
} as const satisfies Record<string, ApiResource>;

/** Objects as the API server keeps them: it fills in the defaults of the same CRDs as the directory store. */
export type StoredDeployment = ModelDeployment & ApiObject;
export type StoredNode = ClusterNode & ApiObject;
export type StoredRevision = ModelDeploymentRevision & ApiObject;
