import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { ServiceError } from '@app/errors';
import { Storage, type ObjectInfo, type StoredObject } from '@app/storage';

/** Objects in a Map, for unit specs that look at what is stored. */
export class MemoryStorage extends Storage {
  readonly bucket = 'memory';
  readonly objects = new Map<string, { bytes: Buffer; at: Date }>();
  /** Its own clock. */
  now = () => new Date();

  put(key: string, body: Buffer): Promise<void> {
    this.objects.set(key, { bytes: body, at: this.now() });
    return Promise.resolve();
  }

  async create(key: string, body: Buffer): Promise<boolean> {
    if (this.objects.has(key)) return false;
    await this.put(key, body);
    return true;
  }

  open(key: string): Promise<StoredObject | undefined> {
    const bytes = this.objects.get(key)?.bytes;
    return Promise.resolve(bytes && { ...this.info(key), body: Readable.from([bytes]) });
  }

  read(key: string, maxBytes: number): Promise<Buffer | undefined> {
    const bytes = this.objects.get(key)?.bytes;
    if (bytes && bytes.length > maxBytes)
      return Promise.reject(new ServiceError('payload_too_large', 'Too large'));
    return Promise.resolve(bytes);
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    await Promise.resolve();
    for (const key of [...this.objects.keys()].sort()) if (key.startsWith(prefix)) yield this.info(key);
  }

  delete(key: string): Promise<void> {
    this.objects.delete(key);
    return Promise.resolve();
  }

  check(): Promise<void> {
    return Promise.resolve();
  }

  presign(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  get keys(): string[] {
    return [...this.objects.keys()].sort();
  }

  private info(key: string): ObjectInfo {
    const { bytes, at } = this.objects.get(key)!;
    const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}"`;
    return { key, size: bytes.length, lastModified: at, etag };
  }
}
