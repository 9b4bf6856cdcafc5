import { readFileSync } from 'node:fs';
import { mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { EspalierError, errorMessage } from '../../base/errors.ts';
import { fileUriToPath } from '../../base/file-uri.ts';
import type { RankAssignment } from '../../nodedoc/types.ts';
import { loadAddon } from '../../transport/addon.ts';
import type { Engine } from '../engine.ts';
import { launchFile } from './launch.ts';
import type { RankLaunch } from './launch.ts';
import { loadModelTokenizer } from './model-tokenizer.ts';
import { readStatusFile } from './status-file.ts';
import { fromNative } from './token-streams.ts';

/**
 * Espalier's own engine: one process per rank, this host's CPU, the native transport between ranks.
 * `hostAddress` is what the other ranks dial; ranks on hosts with equal `hostID` share memory.
 * `baseDirectory` is where relative file URIs begin.
 */
export const createBuiltInEngine = (host: {
  hostAddress: string;
  hostID: string;
  baseDirectory?: string;
}): Engine => ({
  name: 'BuiltIn',
  version: packageVersion(),

  unavailable: async () => {
    try {
      loadAddon();
      return undefined;
    } catch (error) {
      return errorMessage(error);
    }
  },

  stage: async (assignment, signal) => {
    refuseUnsupported(assignment);
    const folder = modelFolder(assignment, host.baseDirectory);
    const { vocabSize } = await loadAddon()
      .checkModel(folder)
      .catch((error: unknown) => {
        throw fromNative(error);
      });
    signal.throwIfAborted();
    await loadModelTokenizer(folder, vocabSize);
    return { sizeBytes: await weightBytes(folder) };
  },

  command: async (assignment, runDirectory) => {
    await writeLaunch(runDirectory, {
      assignment,
      modelFolder: modelFolder(assignment, host.baseDirectory),
      hostAddress: host.hostAddress,
      hostID: host.hostID,
    });
    // The same kind of file as this one: .ts from a checkout, .js from the package.
    const rank = new URL(`./rank${extname(import.meta.url)}`, import.meta.url);
    return {
      file: process.execPath,
      args: [fileURLToPath(rank), '--run-directory', runDirectory],
      env: {},
    };
  },

  readStatus: readStatusFile,

  canary: async (endpointUrl, _assignment, signal) => {
    const failed = (reason: string, cause?: unknown) => {
      const message = `no token came through all ranks: ${reason}`;
      return new EspalierError('CanaryFailed', message, { endpointUrl }, { cause });
    };
    let response: Response;
    try {
      response = await fetch(new URL('/canary', endpointUrl), { method: 'POST', signal });
      await response.arrayBuffer();
    } catch (error) {
      throw failed(errorMessage(error), error);
    }
    if (response.status !== 204) throw failed(`rank 0 answered with status ${response.status}`);
  },
});

/** It comes with Espalier, so it has its version. */
const packageVersion = (): string => {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
};

const refuseUnsupported = ({ interconnectMode, engine }: RankAssignment): void => {
  if (interconnectMode === 'RDMA') {
    const message =
      'The built-in engine cannot use RDMA yet: set interconnect.mode to TCP or Auto.';
    throw new EspalierError('EngineUnavailable', message);
  }
  if (engine.args.length > 0) {
    const message = `The built-in engine takes no arguments, got ${engine.args.join(' ')}: remove runtime.args.`;
    throw new EspalierError('EngineUnavailable', message);
  }
};

const modelFolder = ({ model }: RankAssignment, baseDirectory = process.cwd()): string => {
  const folder = fileUriToPath(model.uri, baseDirectory);
  if (folder !== undefined) return folder;
  const message = `Expected a file:// URI, got ${model.uri}: other sources cannot be read yet.`;
  throw new EspalierError('SourceNotAvailable', message, { uri: model.uri });
};

const weightBytes = async (folder: string): Promise<number> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.safetensors'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
};

/** Never there half-written, nor readable by others at any moment. */
const writeLaunch = async (runDirectory: string, launch: RankLaunch): Promise<void> => {
  await mkdir(runDirectory, { recursive: true, mode: 0o700 });
  const file = launchFile(runDirectory);
  const draft = await open(`${file}.tmp`, 'w', 0o600);
  try {
    await draft.writeFile(JSON.stringify(launch));
  } finally {
    await draft.close();
  }
  await rename(`${file}.tmp`, file);
};
