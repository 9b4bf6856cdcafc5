import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../../scripts/setup/step.ts';

const deadlineMs = 60_000;

/** ESPALIER_UPGRADE_FROM names another one. */
export const earlierCommit = (): string => process.env['ESPALIER_UPGRADE_FROM'] ?? 'HEAD~1';

/**
 * That commit's program in a folder under `parent`, with the packages of this checkout; or why there is none, which
 * is so without Git or without its history.
 */
export const checkOut = (commit: string, parent: string): { folder: string } | { why: string } => {
  const folder = join(parent, 'earlier');
  mkdirSync(folder);
  const archive = spawnSync(
    'git',
    ['archive', '--format=tar', commit, 'src', 'crds', 'package.json'],
    {
      cwd: root,
      timeout: deadlineMs,
      maxBuffer: 2 ** 28,
    },
  );
  if (archive.status !== 0) {
    return { why: archive.error?.message ?? String(archive.stderr).trim() };
  }
  const unpacked = spawnSync('tar', ['-x', '-C', folder], { input: archive.stdout });
  if (unpacked.status !== 0) return { why: `tar: ${String(unpacked.stderr).trim()}` };
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  return { folder };
};
