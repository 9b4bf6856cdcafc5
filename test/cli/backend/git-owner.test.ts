import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gitOwner } from '../../../src/cli/backend/git-owner.ts';

const nameOf = (metadata: Parameters<typeof gitOwner>[0]) => gitOwner(metadata)?.name;

test('Argo CD is known by its tracking annotation and by its field managers', () => {
  const annotations = {
    'argocd.argoproj.io/tracking-id': 'fleet:espalier.dev/ModelDeployment:default/sprout',
  };
  assert.equal(nameOf({ annotations }), 'Argo CD application fleet');
  for (const manager of ['argocd-controller', 'argocd-application-controller']) {
    assert.equal(nameOf({ managedFields: [{ manager }] }), 'Argo CD application');
  }
});

test('Flux is known by its labels and by its field managers, and the command that stops it is named', () => {
  const labels = {
    'kustomize.toolkit.fluxcd.io/name': 'fleet',
    'kustomize.toolkit.fluxcd.io/namespace': 'flux-system',
  };
  const owner = gitOwner({ labels, managedFields: [{ manager: 'kustomize-controller' }] });
  assert.equal(owner?.name, 'Flux Kustomization flux-system/fleet');
  assert.match(owner?.consequence ?? '', /"flux suspend kustomization fleet -n flux-system"/);
  assert.equal(nameOf({ managedFields: [{ manager: 'helm-controller' }] }), 'Flux HelmRelease');
});

test('an object that Flux was told to leave alone has no owner', () => {
  const labels = { 'kustomize.toolkit.fluxcd.io/name': 'fleet' };
  const annotations = { 'kustomize.toolkit.fluxcd.io/reconcile': 'disabled' };
  assert.equal(nameOf({ labels, annotations }), undefined);
});

test('kubectl, Helm and the instance label are nobody who would change it back', () => {
  assert.equal(
    nameOf({
      labels: { 'app.kubernetes.io/instance': 'fleet', 'app.kubernetes.io/managed-by': 'Helm' },
      managedFields: [{ manager: 'kubectl', operation: 'Apply' }, { manager: 'helm' }],
    }),
    undefined,
  );
});
