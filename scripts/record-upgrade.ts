/**
 * Records what this version of the operator writes, for later versions to come up over: a file per scene in
 * test/fixtures/upgrade/<version>/. Record anew under another name when the kinds or what is written of them
 * changes; recordings of before stay, for objects of that time stay too.
 *   node scripts/record-upgrade.ts <version or day> [scenes]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { record } from '../test/upgrade/recording.ts';
import { play, scenes } from '../test/upgrade/scenes.ts';

const [version, ...wanted] = process.argv.slice(2);
if (version === undefined) {
  process.stderr.write('node scripts/record-upgrade.ts <version or day> [scenes]\n');
  process.exit(2);
}
const folder = join(fileURLToPath(new URL('../test/fixtures/upgrade/', import.meta.url)), version);
mkdirSync(folder, { recursive: true });
for (const scene of wanted.length > 0 ? wanted : Object.keys(scenes)) {
  const world = await play(scene);
  const file = join(folder, `${scene.replaceAll(/[^a-z]+/g, '-')}.yaml`);
  writeFileSync(file, stringify(record(scene, world), { aliasDuplicateObjects: false }));
  process.stderr.write(`${file}\n`);
}
process.exit(0);
