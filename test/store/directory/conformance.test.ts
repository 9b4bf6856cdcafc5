import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { storeConformance } from '../conformance.ts';
import { makeFolders, openStore } from './fixture.ts';

storeConformance('directory store', async (t) => {
  const folders = makeFolders(t);
  return {
    open: () => openStore(folders),
    apply: async ({ kind, metadata, spec }) => {
      const document = { apiVersion: 'espalier.dev/v1alpha1', kind, metadata, spec };
      folders.save(fileOf(kind, metadata.name), stringify(document));
    },
    remove: async ({ kind, name }) => rmSync(join(folders.directory, fileOf(kind, name))),
    // The lock keeps a second one on this host away; a takeover comes from elsewhere.
    takeOver: async () =>
      writeFileSync(
        join(folders.stateDirectory, 'epoch.json'),
        JSON.stringify({ epoch: 9_999_999_999, token: 'another' }),
      ),
  };
});

const fileOf = (kind: string, name: string): string => `${kind}-${name}.yaml`;
