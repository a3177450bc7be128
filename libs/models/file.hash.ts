import { createHash } from 'node:crypto';
import { createReadStream, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';

/** Changes whenever the file does: size, time of the last change in nanoseconds, and which file it is. */
export const fileStamp = ({ size, mtimeNs, dev, ino }: BigIntStats): string =>
  `${size} ${mtimeNs} ${dev} ${ino}`;

interface Entry<Facts> {
  readonly stamp: string;
  readonly facts: Promise<Facts>;
}

/** What is in files: each is read once while it stays the same, also when several ask at once. */
export class FileFacts<Facts> {
  private readonly entries = new Map<string, Entry<Facts>>();

  constructor(private readonly read: (path: string) => Promise<Facts>) {}

  async of(path: string): Promise<Facts> {
    const stamp = fileStamp(await stat(path, { bigint: true }));
    const known = this.entries.get(path);
    if (known?.stamp === stamp) return known.facts;
    const entry = { stamp, facts: this.read(path) };
    this.entries.set(path, entry);
    // A disk that failed once is asked again.
    entry.facts.catch(() => this.entries.get(path) === entry && this.entries.delete(path));
    return entry.facts;
  }
}

/**
 * The file's sha256, hexadecimal.
 * @param see gets its bytes on their way
 */
export async function fileHash(path: string, see: (chunk: Buffer) => void = () => {}): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(chunk as Buffer);
    see(chunk as Buffer);
  }
  return hash.digest('hex');
}
