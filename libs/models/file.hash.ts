import { createHash } from 'node:crypto';
import { createReadStream, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

interface Entry {
  readonly stamp: string;
  readonly sha256: Promise<string>;
}

const entries = new Map<string, Entry>();

/** Changes whenever the file does: size, time of the last change in nanoseconds, and which file it is. */
export const fileStamp = ({ size, mtimeNs, dev, ino }: BigIntStats): string =>
  `${size} ${mtimeNs} ${dev} ${ino}`;

/** The file's sha256, hexadecimal. Its bytes are read once while it stays the same, also when several ask at once. */
export async function fileHash(path: string): Promise<string> {
  const stamp = fileStamp(await stat(path, { bigint: true }));
  const known = entries.get(path);
  if (known?.stamp === stamp) return known.sha256;
  const entry = { stamp, sha256: read(path) };
  entries.set(path, entry);
  // A disk that failed once is asked again.
  entry.sha256.catch(() => entries.get(path) === entry && entries.delete(path));
  return entry.sha256;
}

async function read(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
