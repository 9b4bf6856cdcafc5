import { packageOwners, portsOnly, rooms } from './import-table.ts';

/**
 * The `overrides` of .oxlintrc.json: one entry per room that forbids every room it may not import. Run
 * `node test/architecture/write-lint-overrides.ts` after a change of the table.
 */
export const lintOverrides = (): object[] =>
  Object.entries(rooms).map(([room, allowed]) => ({
    files: [`src/${room}/**`],
    rules: {
      'no-restricted-imports': ['error', { patterns: restrictions(room, allowed) }],
    },
  }));

const restrictions = (room: string, allowed: readonly string[]): object[] => {
  const forbiddenRooms = Object.keys(rooms)
    .filter((other) => other !== room && !allowed.includes(other))
    .map((other) => `**/../${other}/**`);
  const forbiddenPackages = Object.entries(packageOwners)
    .filter(([, owners]) => !owners.includes(room))
    .map(([name]) => name);
  const message = `src/${room} may import: ${allowed.join(', ') || 'nothing'} (test/architecture/import-table.ts)`;
  const port = portsOnly[room];
  return [
    { group: [...forbiddenRooms, ...forbiddenPackages], message },
    ...(port === undefined
      ? []
      : [{ group: ['**/controller/*', `!**/${port}`], message: `only ${port}` }]),
  ].filter((entry) => entry.group.length > 0);
};
