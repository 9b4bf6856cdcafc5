import { CommandFailure, exitCodes } from './exit.ts';

/** The kinds that commands can name, with the short forms that kubectl knows too. */
const kinds = [
  { kind: 'ModelDeployment', names: ['mdep', 'modeldeployment', 'modeldeployments'] },
  { kind: 'ClusterNode', names: ['cnode', 'clusternode', 'clusternodes'] },
  {
    kind: 'ModelDeploymentRevision',
    names: ['mdrev', 'modeldeploymentrevision', 'modeldeploymentrevisions'],
  },
] as const;

export type KindName = (typeof kinds)[number]['kind'];

/** A kind by any of its names; `mdep/sprout` is split by the caller. */
const kindOf = (text: string): KindName => {
  const found = kinds.find(({ names }) => names.some((name) => name === text.toLowerCase()));
  if (found) return found.kind;
  throw new CommandFailure(
    exitCodes.usage,
    `unknown kind "${text}"; one of ${kinds.map(({ names }) => names.join(', ')).join('; ')}`,
  );
};

/** "mdep/sprout" or "mdep", "sprout" → kind and name. */
export const kindAndName = (kindText: string, name?: string): { kind: KindName; name?: string } => {
  const [kind = '', slashName] = kindText.split('/');
  const chosen = name ?? slashName;
  return chosen === undefined ? { kind: kindOf(kind) } : { kind: kindOf(kind), name: chosen };
};
