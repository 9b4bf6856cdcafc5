import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { EspalierError } from '../base/errors.ts';
import { isRecord } from './model-files.ts';

/** The limit of the reference implementation. */
const maxHeaderBytes = 100_000_000;
const lengthBytes = 8;
const sampleBytes = 65_536;

const typeBits: Readonly<Record<string, number>> = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
};

export interface TensorFacts {
  file: string;
  dtype: string;
  shape: number[];
  bytes: number;
}

export interface SafetensorsFile {
  tensors: Map<string, TensorFacts>;
  sizeBytes: number;
  /** The header's bytes and a few samples of the data: what a digest needs to notice other weights. */
  fingerprint: Buffer[];
}

/**
 * Reads the header of a safetensors file, never its weights, and checks that every tensor lies inside the
 * file. Throws ModelFileTruncated with the bytes that are and that should be, or SafetensorsInvalid.
 */
export const readSafetensorsHeader = async (file: string): Promise<SafetensorsFile> => {
  const handle = await open(file, 'r');
  try {
    const sizeBytes = (await handle.stat()).size;
    if (sizeBytes < lengthBytes) throw truncated(file, sizeBytes, lengthBytes, 'its header length');
    const headerBytes = Number((await read(handle, 0, lengthBytes)).readBigUInt64LE());
    if (headerBytes > maxHeaderBytes) {
      throw invalid(file, `its header claims ${headerBytes} bytes; this is no safetensors file`);
    }
    const dataStart = lengthBytes + headerBytes;
    if (sizeBytes < dataStart) throw truncated(file, sizeBytes, dataStart, 'its header');
    const header = await read(handle, lengthBytes, headerBytes);
    const tensors = parseHeader(file, header, { dataStart, sizeBytes });
    return {
      tensors,
      sizeBytes,
      fingerprint: [header, ...(await sample(handle, dataStart, sizeBytes))],
    };
  } finally {
    await handle.close();
  }
};

const parseHeader = (
  file: string,
  header: Buffer,
  bounds: { dataStart: number; sizeBytes: number },
): Map<string, TensorFacts> => {
  let value: unknown;
  try {
    value = JSON.parse(header.toString('utf8'));
  } catch (cause) {
    throw invalid(file, 'its header is no JSON', cause);
  }
  if (!isRecord(value)) throw invalid(file, 'its header is no JSON object');
  const entries = Object.entries(value).filter(([name]) => name !== '__metadata__');
  return new Map(entries.map(([name, entry]) => [name, parseEntry(file, name, entry, bounds)]));
};

const parseEntry = (
  file: string,
  name: string,
  entry: unknown,
  { dataStart, sizeBytes }: { dataStart: number; sizeBytes: number },
): TensorFacts => {
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  const bits = typeof dtype === 'string' ? typeBits[dtype] : undefined;
  if (typeof dtype !== 'string' || bits === undefined) {
    throw invalid(file, `tensor ${name}: unknown dtype ${JSON.stringify(dtype)}`);
  }
  if (!isCounts(shape)) throw invalid(file, `tensor ${name}: expected a shape of integers`);
  const [begin, end] = isCounts(offsets) && offsets.length === 2 ? offsets : [];
  if (begin === undefined || end === undefined || begin > end) {
    throw invalid(file, `tensor ${name}: expected data_offsets [begin, end] with begin <= end`);
  }
  const bytes = (shape.reduce((product, size) => product * size, 1) * bits) / 8;
  if (end - begin !== bytes) {
    throw invalid(
      file,
      `tensor ${name}: its shape needs ${bytes} bytes, its data_offsets span ${end - begin}`,
    );
  }
  if (dataStart + end > sizeBytes)
    throw truncated(file, sizeBytes, dataStart + end, `tensor ${name}`);
  return { file, dtype, shape, bytes };
};

/** Start, middle and end of the data. */
const sample = async (
  handle: FileHandle,
  dataStart: number,
  sizeBytes: number,
): Promise<Buffer[]> => {
  const starts = [dataStart, Math.floor((dataStart + sizeBytes) / 2), sizeBytes - sampleBytes];
  const samples: Buffer[] = [];
  for (const start of starts) {
    const from = Math.max(dataStart, start);
    samples.push(await read(handle, from, Math.min(sampleBytes, sizeBytes - from)));
  }
  return samples;
};

const read = async (handle: FileHandle, position: number, length: number): Promise<Buffer> => {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
};

const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

const truncated = (file: string, sizeBytes: number, expectedBytes: number, what: string) =>
  new EspalierError(
    'ModelFileTruncated',
    `${file}: expected at least ${expectedBytes} bytes (${what} ends there), the file has ${sizeBytes}; copy it again`,
    { file, sizeBytes, expectedBytes },
  );

const invalid = (file: string, what: string, cause?: unknown) =>
  new EspalierError('SafetensorsInvalid', `${file}: ${what}`, { file }, { cause });
