/**
 * The kinds of espalier.dev/v1alpha1 after defaulting. Spec and status are generated from crds/: every field
 * that has a default there is present, the others are optional.
 */
import type { ClusterNodeSpec, ClusterNodeStatus } from './generated-cluster-node.ts';
import type { ModelDeploymentSpec, ModelDeploymentStatus } from './generated-model-deployment.ts';

export type { ClusterNodeSpec, ClusterNodeStatus, Condition } from './generated-cluster-node.ts';
export type {
  GroupMember,
  GroupStatus,
  ModelDeploymentSpec,
  ModelDeploymentStatus,
  PlanStatus,
  PreemptionStatus,
  Toleration,
} from './generated-model-deployment.ts';

/** Kubernetes' metadata, as far as Espalier uses it. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid: string;
  /** Counts semantic changes of spec, from 1. */
  generation: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string }[];
}

export interface Resource<Kind extends string, Spec, Status> {
  apiVersion: 'espalier.dev/v1alpha1';
  kind: Kind;
  metadata: ObjectMeta;
  spec: Spec;
  status: Status;
}

export type ModelDeployment = Resource<
  'ModelDeployment',
  ModelDeploymentSpec,
  ModelDeploymentStatus
>;
export type ClusterNode = Resource<'ClusterNode', ClusterNodeSpec, ClusterNodeStatus>;

export interface ModelDeploymentRevision {
  apiVersion: 'espalier.dev/v1alpha1';
  kind: 'ModelDeploymentRevision';
  metadata: ObjectMeta;
  /** Counts up per deployment, the newest highest. */
  revision: number;
  /** Of the defaulted, canonically sorted `data`. */
  hash: string;
  hashVersion: number;
  data: RevisionedSpec;
}

/** What a revision snapshots; nothing else in spec makes a new revision. */
export type RevisionedSpec = Pick<
  ModelDeploymentSpec,
  | 'model'
  | 'runtime'
  | 'objective'
  | 'parallelism'
  | 'interconnect'
  | 'placement'
  | 'degradation'
  | 'dataPolicy'
>;
