import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { ifThere } from './absent';
import { diskError, ModelError } from './model.error';
import type { OnProgress } from './model.progress';
import { packageRoot } from './package.root';
import { PartFile } from './part.file';
import { replaceFile } from './replace.file';

export interface DemoFiles {
  readonly checkpoint: string;
  readonly ipAdapter: string;
  readonly clipVision: string;
}

/** The packed weights, their checksums and the demo's LoRAs, in the source tree. */
export const demoFolder = (): string => join(packageRoot(), 'libs', 'models', 'demo');

const FILES = {
  checkpoint: 'demo.safetensors',
  ipAdapter: 'demo-ip-adapter.safetensors',
  clipVision: 'demo-clip-vision.safetensors',
} as const;

/**
 * The demo checkpoint, unpacked into `cache` (DEMO_CACHE; 360 MB). Once: later starts look at a marker beside each
 * file (checksum, size, time) and read no weights. A file that was cut, changed or belongs to another version is
 * unpacked again; processes that start at once each unpack a part of their own.
 */
export async function unpackDemo(
  cache: string,
  onProgress: OnProgress,
  packed: string = demoFolder(),
): Promise<DemoFiles> {
  try {
    await mkdir(cache, { recursive: true });
    const sums = await readSums(join(packed, 'SHA256SUMS'));
    for (const name of Object.values(FILES)) {
      if (!(await isUnpacked(join(cache, name), sumOf(sums, name)))) {
        await unpack(join(packed, `${name}.gz`), join(cache, name), sums, onProgress);
      }
    }
  } catch (error) {
    throw diskError(error, 'DEMO_CACHE');
  }
  const at = (name: string) => resolve(cache, name);
  return {
    checkpoint: at(FILES.checkpoint),
    ipAdapter: at(FILES.ipAdapter),
    clipVision: at(FILES.clipVision),
  };
}

async function unpack(
  source: string,
  target: string,
  sums: ReadonlyMap<string, string>,
  onProgress: OnProgress,
): Promise<void> {
  const { size: total, mtime } = await stat(source);
  const part = await PartFile.claim(target);
  try {
    const hashes = { packed: createHash('sha256'), unpacked: createHash('sha256') };
    let done = 0;
    await pipeline(
      createReadStream(source),
      tap((chunk) => {
        hashes.packed.update(chunk);
        done += chunk.length;
        onProgress({ phase: 'unpack', file: basename(target), done, total });
      }),
      createGunzip(),
      tap((chunk) => hashes.unpacked.update(chunk)),
      (await part.open('truncate')).createWriteStream(),
    ).catch((error: NodeJS.ErrnoException) => {
      throw error.code?.startsWith('Z_') ? damaged(source) : error;
    });
    if (hashes.packed.digest('hex') !== sumOf(sums, basename(source))) throw damaged(source);
    const sha256 = hashes.unpacked.digest('hex');
    if (sha256 !== sumOf(sums, basename(target))) throw damaged(source);
    // The same time whoever unpacks: the marker of one process holds for the file of another.
    await utimes(part.path, mtime, mtime);
    await part.commit();
    await mark(target, sha256);
  } catch (error) {
    await part.discard();
    throw error;
  }
}

const tap = (see: (chunk: Buffer) => void) =>
  new Transform({
    transform(chunk: Buffer, _encoding, next) {
      see(chunk);
      next(null, chunk);
    },
  });

const markerOf = (file: string) => `${file}.unpacked`;

async function stamp(file: string, sha256: string): Promise<string> {
  const { size, mtimeMs } = await stat(file);
  return `${sha256} ${size} ${Math.floor(mtimeMs)}\n`;
}

async function mark(file: string, sha256: string): Promise<void> {
  const text = await stamp(file, sha256);
  await replaceFile(markerOf(file), (temporary) => writeFile(temporary, text));
}

async function isUnpacked(file: string, sha256: string): Promise<boolean> {
  const marker = await ifThere(readFile(markerOf(file), 'utf8'));
  return marker !== undefined && marker === (await ifThere(stamp(file, sha256)));
}

/** `sha256sum`'s format, so that people can check the folder with it. */
async function readSums(path: string): Promise<Map<string, string>> {
  const lines = (await readFile(path, 'utf8')).split('\n').filter(Boolean);
  return new Map(
    lines.map((line) => line.split(/\s+/, 2) as [string, string]).map(([sum, name]) => [name, sum]),
  );
}

function sumOf(sums: ReadonlyMap<string, string>, name: string): string {
  const sum = sums.get(name);
  if (!sum) throw new ModelError(`MODEL_PATH=demo: SHA256SUMS of libs/models/demo does not list ${name}.`);
  return sum;
}

const damaged = (source: string) =>
  new ModelError(
    `MODEL_PATH=demo: ${basename(source)} is damaged (its sha256 is not the one in SHA256SUMS). Check out libs/models/demo again.`,
  );
