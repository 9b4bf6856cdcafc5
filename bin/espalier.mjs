#!/usr/bin/env node
// The package's command. In a checkout it runs the sources, after installing and building whatever is missing; the
// published package has only what was built.
import { existsSync } from 'node:fs';

const checkout = new URL('../scripts/run.mjs', import.meta.url);
if (existsSync(checkout)) {
  process.argv.splice(2, 0, 'src/cli/main.ts');
  await import(checkout.href);
} else {
  await import(new URL('../dist/cli/main.js', import.meta.url).href);
}
