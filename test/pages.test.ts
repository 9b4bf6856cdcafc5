import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';

const root = fileURLToPath(new URL('..', import.meta.url));
const names = globSync(['*.md', 'docs/*.md', 'examples/**/*.md', 'manifests/**/*.md'], {
  cwd: root,
});
const pages = new Map(names.map((name) => [name, readFileSync(join(root, name), 'utf8')]));
const withoutCode = (page: string): string => page.replaceAll(/```.*?```/gs, '');

/** As GitHub makes them from headings. */
const anchorsOf = (page: string): string[] =>
  [...withoutCode(page).matchAll(/^#+ +(.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  );

test('links between pages lead to a file, and to a heading where they name one', () => {
  const broken: string[] = [];
  for (const [name, page] of pages) {
    for (const [, link = ''] of withoutCode(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?|mailto):/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? name : normalize(join(dirname(name), path));
      const headings = pages.get(target);
      const isThere = existsSync(join(root, target));
      if (!isThere || (anchor && headings && !anchorsOf(headings).includes(anchor))) {
        broken.push(`${name}: ${link}`);
      }
    }
  }
  assert.deepEqual(broken, []);
});

const optionPattern = /(?<![\w-])--[a-z][\w-]*/g;

/** By command, what its help names. */
const optionsByCommand = async (): Promise<Map<string, Set<string>>> => {
  const found = new Map<string, Set<string>>();
  for (const file of readdirSync(join(root, 'src/cli/commands'))) {
    const exported = (await import(`../src/cli/commands/${file}`)) as Record<string, unknown>;
    for (const [name, make] of Object.entries(exported)) {
      if (!name.endsWith('Command') || typeof make !== 'function') continue;
      const command: unknown = make();
      if (!(command instanceof Command)) continue;
      found.set(command.name(), new Set(command.helpInformation().match(optionPattern)));
    }
  }
  return found;
};

test('what pages call espalier with exists', async () => {
  const options = await optionsByCommand();
  const wrong: string[] = [];
  let calls = 0;
  for (const [name, page] of pages) {
    const text = page.replaceAll(/\\\n\s*/g, ' ');
    const used =
      /(?:^ {4}|^\$ |^ {4}\$ |`)(?:npx |kubectl )?espalier (?<command>[a-z]+)(?<rest>[^`|#\n]*)/gm;
    for (const { groups } of text.matchAll(used)) {
      const { command = '', rest = '' } = groups ?? {};
      calls += 1;
      const known = options.get(command);
      if (!known) wrong.push(`${name}: espalier ${command}`);
      const [own = ''] = rest.split(' -- ');
      for (const option of own.match(optionPattern) ?? []) {
        if (!known?.has(option)) wrong.push(`${name}: espalier ${command} ${option}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(calls > 60, `${calls} calls found`);
});
