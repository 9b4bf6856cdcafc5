import { readFileSync, writeFileSync } from 'node:fs';
import { lintOverrides } from './lint-overrides.ts';

const file = new URL('../../.oxlintrc.json', import.meta.url);
const config = JSON.parse(readFileSync(file, 'utf8'));
writeFileSync(file, `${JSON.stringify({ ...config, overrides: lintOverrides() }, null, 2)}\n`);
