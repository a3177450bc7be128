import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { ModelError } from './model.error';

export interface TensorInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** First byte and the byte after the last, counted from the end of the header. Tensors may share bytes. */
  readonly data_offsets: readonly [number, number];
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the tensors' bytes start in the file. */
  readonly dataStart: number;
}

/** The format's own limit; without it a picture taken for a model would ask for exabytes. */
const MAX_HEADER = 100_000_000;

/**
 * Reads the header of a safetensors file (8 bytes length, little endian; JSON; then the tensors) and checks that
 * the file holds all it promises. The engine cannot be asked: it answers a bad file with "no context" at best.
 * Throws ModelError, a sentence that starts with the file's name.
 */
export async function readSafetensors(path: string): Promise<SafetensorsHeader> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const length = await readLength(file, size, path);
    const json = Buffer.alloc(length);
    await file.read(json, 0, length, 8);
    const header = parseHeader(json, path);
    const expected = 8 + length + lastByte(header.tensors);
    if (size < expected) {
      throw new ModelError(
        `${basename(path)} is cut short: it has ${size} of ${expected} bytes. Download or copy it again.`,
      );
    }
    return { ...header, dataStart: 8 + length };
  } finally {
    await file.close();
  }
}

async function readLength(
  file: Awaited<ReturnType<typeof open>>,
  size: number,
  path: string,
): Promise<number> {
  const prefix = Buffer.alloc(8);
  const { bytesRead } = await file.read(prefix, 0, 8, 0);
  const length = bytesRead === 8 ? prefix.readBigUInt64LE() : 0n;
  if (length < 2n || length > BigInt(MAX_HEADER)) throw notSafetensors(path);
  if (Number(length) + 8 > size) {
    throw new ModelError(
      `${basename(path)} is cut short inside its header, or is not a safetensors file. Download or copy it again.`,
    );
  }
  return Number(length);
}

function parseHeader(json: Buffer, path: string): Omit<SafetensorsHeader, 'dataStart'> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json.toString('utf8'));
  } catch {
    throw notSafetensors(path);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw notSafetensors(path);
  const { __metadata__: metadata = {}, ...tensors } = parsed as Record<string, unknown>;
  if (!Object.values(tensors).every(isTensor)) throw notSafetensors(path);
  return {
    tensors: new Map(Object.entries(tensors as Record<string, TensorInfo>)),
    metadata: metadata as Record<string, string>,
  };
}

function isTensor(value: unknown): value is TensorInfo {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Partial<TensorInfo>;
  const whole = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= 0;
  return (
    typeof dtype === 'string' &&
    Array.isArray(shape) &&
    shape.every(whole) &&
    Array.isArray(offsets) &&
    offsets.length === 2 &&
    offsets.every(whole) &&
    offsets[0] <= offsets[1]
  );
}

function lastByte(tensors: ReadonlyMap<string, TensorInfo>): number {
  let end = 0;
  for (const { data_offsets: offsets } of tensors.values()) end = Math.max(end, offsets[1]);
  return end;
}

const notSafetensors = (path: string) =>
  new ModelError(
    `${basename(path)} is not a safetensors file. Download or copy it again, or name another file.`,
  );
