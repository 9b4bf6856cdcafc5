/**
 * Writes manifests/argocd/argocd-cm.yaml, what users merge into Argo CD's own ConfigMap, from the scripts under
 * manifests/argocd/resource_customizations/, which have the layout of Argo CD's repository.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';

const group = 'espalier.dev';
const folder = new URL(`../manifests/argocd/resource_customizations/${group}/`, import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, folder), 'utf8');

const data: Record<string, string> = {};
for (const kind of readdirSync(folder).toSorted()) {
  data[`resource.customizations.health.${group}_${kind}`] = read(`${kind}/health.lua`);
  const definitions = readdirSync(new URL(`${kind}/actions/`, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'testdata')
    .map(({ name }) => ({ name, 'action.lua': read(`${kind}/actions/${name}/action.lua`) }));
  const actions = { 'discovery.lua': read(`${kind}/actions/discovery.lua`), definitions };
  data[`resource.customizations.actions.${group}_${kind}`] = stringify(actions, { lineWidth: 0 });
}
const patch = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'argocd-cm', namespace: 'argocd' },
  data,
};
const header =
  '# Made by scripts/generate-argocd-cm.ts from resource_customizations/. Merge it:\n' +
  '#   kubectl -n argocd patch configmap argocd-cm --type=merge --patch-file manifests/argocd/argocd-cm.yaml\n';
writeFileSync(
  new URL('../manifests/argocd/argocd-cm.yaml', import.meta.url),
  header + stringify(patch, { lineWidth: 0 }),
);
