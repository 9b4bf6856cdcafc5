/** Metadata as an API server gives it. */
export interface OwnedMetadata {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  managedFields?: { manager?: string; operation?: string }[];
}

/** A tool that keeps an object as Git says. */
export interface GitOwner {
  /** "Argo CD application fleet", "Flux Kustomization flux-system/fleet". */
  name: string;
  /** What happens to a change that Git does not have, and how to keep it from happening. */
  consequence: string;
}

/**
 * Who puts this object back to what Git says; undefined: nobody that we know of. The tracking label of older Argo CD,
 * app.kubernetes.io/instance, proves nothing: Helm and people set it too.
 */
export const gitOwner = (metadata: OwnedMetadata): GitOwner | undefined =>
  argoOwner(metadata) ?? fluxOwner(metadata);

/** Sources: argo-cd docs, user-guide/resource_tracking.md (annotation) and the field managers of its controllers. */
const argoOwner = ({
  annotations = {},
  managedFields = [],
}: OwnedMetadata): GitOwner | undefined => {
  const trackingId = annotations['argocd.argoproj.io/tracking-id'];
  const isManager = managedFields.some(({ manager = '' }) =>
    ['argocd-controller', 'argocd-application-controller'].includes(manager),
  );
  if (trackingId === undefined && !isManager) return undefined;
  const application = trackingId?.split(':')[0];
  return {
    name: `Argo CD application${application === undefined ? '' : ` ${application}`}`,
    consequence:
      'with self-heal it is changed back within minutes, without it the application turns OutOfSync until the next sync',
  };
};

/** Source: Flux docs, components/kustomize/kustomizations (labels, reconcile: disabled) and helm/helmreleases. */
const fluxOwner = (metadata: OwnedMetadata): GitOwner | undefined => {
  const { labels = {}, annotations = {}, managedFields = [] } = metadata;
  for (const { kind, command, prefix, manager } of fluxKinds) {
    if (annotations[`${prefix}/reconcile`] === 'disabled') continue;
    const name = labels[`${prefix}/name`];
    const namespace = labels[`${prefix}/namespace`];
    const isManager = managedFields.some((entry) => entry.manager === manager);
    if (name === undefined && !isManager) continue;
    const stop = `flux suspend ${command} ${name ?? 'NAME'}${namespace === undefined ? '' : ` -n ${namespace}`}`;
    return {
      name: `Flux ${kind}${name === undefined ? '' : ` ${namespace === undefined ? '' : `${namespace}/`}${name}`}`,
      consequence: `the next reconciliation changes it back; "${stop}" stops that`,
    };
  }
  return undefined;
};

const fluxKinds = [
  {
    kind: 'Kustomization',
    command: 'kustomization',
    prefix: 'kustomize.toolkit.fluxcd.io',
    manager: 'kustomize-controller',
  },
  {
    kind: 'HelmRelease',
    command: 'helmrelease',
    prefix: 'helm.toolkit.fluxcd.io',
    manager: 'helm-controller',
  },
];

/** Applied by kubectl from a file: the next apply of that file has the last word. */
export const isKubectlApplied = ({
  annotations = {},
  managedFields = [],
}: OwnedMetadata): boolean =>
  'kubectl.kubernetes.io/last-applied-configuration' in annotations ||
  managedFields.some(({ manager, operation }) => manager === 'kubectl' && operation === 'Apply');
