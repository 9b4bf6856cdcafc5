import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { validateFiles } from '../../src/resources/read-files.ts';
import { loadSchemas } from '../../src/resources/schemas.ts';
import { seed } from '../support/seed.ts';
import { mutate } from './mutations.ts';

const schemas = loadSchemas();
const goodText = ['full', 'minimal'].map((name) =>
  readFileSync(new URL(`./good/${name}.yaml`, import.meta.url), 'utf8'),
);
const goodDocuments = goodText.flatMap((text) => text.split('---\n'));
const neighbour = (name: string) =>
  `apiVersion: espalier.dev/v1alpha1\nkind: ClusterNode\nmetadata:\n  name: ${name}\n`;

test(`200 malformed documents: each is named or still valid, none harms another (seed ${seed})`, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-fuzz-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const random = seededRandom(seed);
  let named = 0;
  for (let tries = 0; named < 200; tries += 1) {
    assert.ok(tries < 2000, 'the mutations find too little');
    const good = goodDocuments[tries % goodDocuments.length] ?? '';
    const { name, content } = mutate(good, random);
    const file = join(folder, `case-${tries}.yaml`);
    const parts = [neighbour('before'), '---\n', content, '\n---\n', neighbour('after')];
    writeFileSync(file, Buffer.concat(parts.map((part) => Buffer.from(part))));
    const { objects, problems } = validateFiles([file], schemas);
    const served = objects.map(({ metadata }) => metadata.name);
    const what = `${name} ${file}\n${String(content)}`;
    const isUnreadable = problems.some(({ got }) => got.includes('UTF-8'));
    if (!isUnreadable) {
      assert.equal(served[0], 'before', what);
      assert.equal(served.at(-1), 'after', what);
    }
    const stillValid = served.length === 3 || isBlank(content);
    assert.ok(problems.length > 0 || stillValid, what);
    for (const problem of problems) {
      assert.ok(problem.line >= 1 && problem.column >= 1 && problem.message.length > 10, what);
    }
    if (problems.length > 0) named += 1;
  }
});

/** Cut down to nothing, or to comments: no document at all is no malformed document. */
const isBlank = (content: string | Buffer): boolean => /^(\s*#.*|\s*)*$/.test(String(content));
