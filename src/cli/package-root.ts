import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json, whether this file runs from src/ or from dist/. */
export const packageRoot = (): string => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
};

/** File and arguments that start this program again in another process: `[node, …/main.ts]`. */
export const selfCommand = (): { file: string; args: string[] } => ({
  file: process.execPath,
  args: [
    fileURLToPath(
      new URL(`./main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
    ),
  ],
});
