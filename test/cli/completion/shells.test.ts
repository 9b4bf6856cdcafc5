import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { shellScripts } from '../../../src/cli/completion/shells.ts';

const folder = mkdtempSync(join(tmpdir(), 'espalier-completion-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A stand-in that answers by its arguments, as `espalier __complete` would. */
const bin = join(folder, 'bin');
mkdirSync(bin);
writeFileSync(
  join(bin, 'espalier'),
  `#!/bin/sh
[ "$1 $2" = "__complete --" ] || exit 9
shift 2
for last; do :; done
case $last in
  dr) printf 'drain\\tCordon a node\\n:4\\n' ;;
  fi) printf ':0\\n' ;;
  *) printf 'sprout\\nsprout-2\\n:4\\n' ;;
esac
`,
);
chmodSync(join(bin, 'espalier'), 0o755);
writeFileSync(join(folder, 'file.yaml'), '');

const bash = (words: string[]): string[] => {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  const program = `${shellScripts.bash}
COMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}
_espalier
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', program], {
    cwd: folder,
    env: { PATH: `${bin}:${process.env['PATH']}` },
  });
  assert.equal(status, 0, stderr.toString());
  return stdout.toString().split('\n').filter(Boolean);
};

test('bash offers what the program says, without descriptions', () => {
  assert.deepEqual(bash(['espalier', 'dr']), ['drain']);
  assert.deepEqual(bash(['espalier', 'status', '']), ['sprout', 'sprout-2']);
});

test('bash offers files where the program says that files may be named', () => {
  assert.deepEqual(bash(['espalier', 'plan', '-f', 'fi']), ['file.yaml']);
});

for (const shell of ['zsh', 'fish'] as const) {
  const isMissing = spawnSync(shell, ['--version']).error !== undefined;
  test(`${shell} can read its script`, { skip: isMissing && `needs ${shell}` }, () => {
    const path = join(folder, shell);
    writeFileSync(path, shellScripts[shell]);
    const { status, stderr } = spawnSync(shell, ['-n', path]);
    assert.equal(status, 0, stderr.toString());
  });
}
