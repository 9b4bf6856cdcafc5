import { stringify } from 'yaml';
import { canonicalJson } from '../../base/canonical-json.ts';
import { loadSchemas } from '../../resources/schemas.ts';
import { isObject } from '../../resources/structural-schema.ts';
import type { ClusterNode, ModelDeployment } from '../../resources/types.ts';
import { unifiedDiff } from './unified-diff.ts';

/** The change to a spec as the diff of a manifest without what defaults say anyway: what is to be committed. */
export const gitChange = (object: ModelDeployment | ClusterNode, after: object): string => {
  const { name } = object.metadata;
  return unifiedDiff(manifest(object, object.spec), manifest(object, after), `${name}.yaml`);
};

const manifest = (object: ModelDeployment | ClusterNode, spec: object): string => {
  const { apiVersion, kind } = object;
  const { name, namespace } = object.metadata;
  const metadata = namespace === undefined ? { name } : { name, namespace };
  const written = { apiVersion, kind, metadata, spec: withoutDefaults(kind, spec) };
  return stringify(written, { lineWidth: 0 });
};

/** The smallest spec that is defaulted to this one. */
const withoutDefaults = (kind: string, spec: object): unknown => {
  const schemas = loadSchemas();
  const defaulted = (value: unknown) => canonicalJson(schemas.defaultField(kind, 'spec', value));
  const wanted = defaulted(spec);
  let result: unknown = spec;
  for (const path of pathsIn(spec, [])) {
    const shorter = withoutPath(result, path);
    if (shorter !== undefined && defaulted(shorter) === wanted) result = shorter;
  }
  return result;
};

/** Parents before their children: a whole object may go at once. */
const pathsIn = (value: unknown, path: string[]): string[][] =>
  isObject(value)
    ? Object.entries(value).flatMap(([name, field]) => {
        const own = [...path, name];
        return [own, ...pathsIn(field, own)];
      })
    : [];

/** Undefined when it is not there any more. */
const withoutPath = (value: unknown, [name, ...rest]: string[]): unknown => {
  if (!isObject(value) || name === undefined || !(name in value)) return undefined;
  if (rest.length === 0) {
    return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));
  }
  const inner = withoutPath(value[name], rest);
  return inner === undefined ? undefined : { ...value, [name]: inner };
};
