/**
 * Writes src/resources/generated-*.ts from crds/, one file per kind: the types of spec and status after
 * defaulting, so that a field with a default is always there. Run by `node scripts/generate-types.ts`; a test
 * compares.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { parse } from 'yaml';

interface Schema {
  type?: string;
  description?: string;
  enum?: string[];
  default?: unknown;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
}

interface CustomResourceDefinition {
  spec: {
    names: { kind: string };
    versions: { schema: { openAPIV3Schema: Schema } }[];
  };
}

const root = join(fileURLToPath(import.meta.url), '..', '..');
export const outputFolder = join(root, 'src', 'resources');

/** Places in a schema that get a name of their own; everything else is written in place. */
const typeNames: Readonly<Record<string, string>> = {
  'ModelDeployment.spec': 'ModelDeploymentSpec',
  'ModelDeployment.spec.placement.tolerations[]': 'Toleration',
  'ModelDeployment.status': 'ModelDeploymentStatus',
  'ModelDeployment.status.conditions[]': 'Condition',
  'ModelDeployment.status.plan': 'PlanStatus',
  'ModelDeployment.status.groups[]': 'GroupStatus',
  'ModelDeployment.status.groups[].members[]': 'GroupMember',
  'ModelDeployment.status.groups[].preemption': 'PreemptionStatus',
  'ClusterNode.spec': 'ClusterNodeSpec',
  'ClusterNode.status': 'ClusterNodeStatus',
  'ClusterNode.status.conditions[]': 'Condition',
};

/** The text that each generated file must have, by its name in `outputFolder`. */
export const generateTypes = async (): Promise<Map<string, string>> => {
  const files = new Map<string, string>();
  const declarations = new Map<string, string>();
  const homes = new Map<string, string>();
  for (const definition of readDefinitions()) {
    const { kind } = definition.spec.names;
    const schema = definition.spec.versions[0]?.schema.openAPIV3Schema;
    for (const part of ['spec', 'status']) {
      const partSchema = schema?.properties?.[part];
      if (partSchema) typeOf(partSchema, `${kind}.${part}`, declarations);
    }
    const names = [...declarations.keys()].filter((name) => !homes.has(name)).toSorted();
    if (names.length === 0) continue;
    const file = `generated-${kind.replaceAll(/(?<=.)(?=[A-Z])/g, '-').toLowerCase()}.ts`;
    const body = names.map((name) => declarations.get(name)).join('\n\n');
    const text = `${header}\n${imports(body, homes)}\n${body}`;
    const filepath = join(outputFolder, file);
    files.set(file, await format(text, { ...(await resolveConfig(filepath)), filepath }));
    for (const name of names) homes.set(name, file);
  }
  return files;
};

const header = '// Generated from crds/ by scripts/generate-types.ts. Do not edit.';

/** Of types that an earlier kind's file has. */
const imports = (body: string, homes: ReadonlyMap<string, string>): string =>
  [...homes]
    .filter(([name]) => new RegExp(`\\b${name}\\b`).test(withoutComments(body)))
    .map(([name, file]) => `import type { ${name} } from './${file}';\n`)
    .join('');

const readDefinitions = (): CustomResourceDefinition[] =>
  readdirSync(join(root, 'crds'))
    .toSorted()
    .map((file) => parse(readFileSync(join(root, 'crds', file), 'utf8')));

const typeOf = (schema: Schema, path: string, declarations: Map<string, string>): string => {
  const name = typeNames[path];
  if (name === undefined) return inlineType(schema, path, declarations);
  const declaration = `${comment(schema)}export interface ${name} ${inlineType(schema, path, declarations)}`;
  const other = declarations.get(name);
  // Descriptions of the same type may differ between kinds; its shape may not.
  if (other !== undefined && withoutComments(other) !== withoutComments(declaration)) {
    throw new Error(`${path}: differs from the other definition of ${name}`);
  }
  if (other === undefined) declarations.set(name, declaration);
  return name;
};

const inlineType = (schema: Schema, path: string, declarations: Map<string, string>): string => {
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  switch (schema.type) {
    case 'string':
    case 'boolean':
      return schema.type;
    case 'integer':
    case 'number':
      return 'number';
    case 'array':
      return `(${typeOf(schema.items ?? {}, `${path}[]`, declarations)})[]`;
    case 'object':
      return objectType(schema, path, declarations);
    default:
      throw new Error(`${path}: no TypeScript type for ${JSON.stringify(schema.type)}`);
  }
};

const objectType = (schema: Schema, path: string, declarations: Map<string, string>): string => {
  if (schema.additionalProperties) {
    const value = typeOf(schema.additionalProperties, `${path}{}`, declarations);
    return `Record<string, ${value}>`;
  }
  const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => {
    const present = field.default !== undefined || schema.required?.includes(name) === true;
    const type = typeOf(field, `${path}.${name}`, declarations);
    return `${comment(field)}${name}${present ? '' : '?'}: ${type};`;
  });
  return `{\n${fields.join('\n')}\n}`;
};

const comment = (schema: Schema): string =>
  schema.description === undefined ? '' : `/** ${schema.description} */\n`;

const withoutComments = (text: string): string => text.replaceAll(/\/\*\*.*?\*\//g, '');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of await generateTypes()) writeFileSync(join(outputFolder, file), text);
}
