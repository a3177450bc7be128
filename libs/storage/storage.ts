import type { Readable } from 'node:stream';
import { ServiceError } from '@app/errors';

/** What is known of a stored object without its bytes. */
export interface ObjectInfo {
  readonly key: string;
  /** bytes */
  readonly size: number;
  readonly lastModified: Date;
  /** Quoted, as HTTP has it; changes whenever the bytes change. */
  readonly etag: string;
}

export interface StoredObject extends ObjectInfo {
  /** The caller reads it to the end or destroys it, which frees the file or the connection at once. */
  readonly body: Readable;
}

/**
 * Where pictures are stored: the users' avatars and photos, and the results. Two drivers (local disk, S3) pass one
 * contract suite (storage.contract.ts). This class is also the injection token.
 *
 * Keys are relative, use `/`, and hold no empty, `.` or `..` segment (all rules: key.ts); a driver refuses
 * others with ServiceError `invalid_request`. The local disk also refuses to put `a` beside `a/b`. Any failure
 * of the disk, the network or the bucket is thrown as ServiceError `storage_unavailable`, its reason in `cause`;
 * a key that is not there is not a failure. Only `body` streams fail with the bare error of disk or network.
 */
export abstract class Storage {
  /** The bucket in `s3://` links; `local` for the local disk. */
  abstract readonly bucket: string;

  /**
   * Writes the whole object or nothing: a crash leaves the old object or none, and readers never see a half.
   * Of several at once to the same key one wins whole.
   */
  abstract put(key: string, body: Buffer, contentType: string): Promise<void>;

  /**
   * The same where there is no such object yet; false: there is one, and it stays. Of several at once one gets true.
   * Servers of S3 that know no `If-None-Match` write whatever is there.
   */
  abstract create(key: string, body: Buffer, contentType: string): Promise<boolean>;

  /** Opens an object for streaming, or resolves to undefined when there is none. */
  abstract open(key: string): Promise<StoredObject | undefined>;

  /** The object's bytes, or undefined when there is none. `payload_too_large` past `maxBytes`. */
  abstract read(key: string, maxBytes: number): Promise<Buffer | undefined>;

  /**
   * Objects whose key starts with `prefix` (a plain string prefix, as in S3: `avatars/bob` also finds
   * `avatars/bobby.png`), all pages, in no certain order. What others put there under names that are no keys, such as
   * the empty "folders" of S3 consoles, is left out. What is put or deleted meanwhile may be among them or not.
   */
  abstract list(prefix: string): AsyncIterable<ObjectInfo>;

  /** Removes the object; fine when there is none. */
  abstract delete(key: string): Promise<void>;

  /**
   * Rejects with the reason when the storage does not serve: the local disk is written to; the bucket is
   * asked for within seconds, which proves address, bucket and credentials but not the right to write.
   */
  abstract check(): Promise<void>;

  /**
   * An address that gives the picture `key` to whoever holds it, from now on for `seconds` (at most a week), straight
   * from the storage, and as this type whatever it was stored with. Undefined for the local disk, which has no address. Does not look whether there is an object.
   */
  abstract presign(key: string, seconds: number, contentType: string): Promise<string | undefined>;

  /** The name that the API answers with: `s3://bucket/key`. */
  uri(key: string): string {
    return `s3://${this.bucket}/${key}`;
  }
}

/** What `read` throws past its limit. */
export const tooLarge = (maxBytes: number): ServiceError =>
  new ServiceError(
    'payload_too_large',
    `The stored object is larger than the ${maxBytes} bytes allowed here.`,
  );
