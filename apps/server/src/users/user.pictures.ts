import { buffer } from 'node:stream/consumers';
import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { MAX_PICTURE_BYTES } from '@app/pictures';
import { Storage, type ObjectInfo, type StoredObject } from '@app/storage';

/** `avatar` is what memory draws from, `photo` what subject does. */
export type UserPicture = 'avatar' | 'photo';

export interface LoadedPicture {
  readonly bytes: Buffer;
  readonly etag: string;
}

/** Spellings of the key in order of preference; the service itself writes only the first. */
const ENDINGS = ['.png', '.jpg', '.jpeg', '.webp'];

/** Where a user's avatar and photo are stored. */
@Injectable()
export class UserPictures {
  constructor(
    private readonly config: Config,
    private readonly storage: Storage,
  ) {}

  /** The key that the service writes. */
  key(kind: UserPicture, userId: string): string {
    return `${this.stem(kind, userId)}${ENDINGS[0]}`;
  }

  /** The picture as it is stored; throws `avatar_not_found` or `photo_not_found`. */
  async open(kind: UserPicture, userId: string): Promise<StoredObject> {
    const stem = this.stem(kind, userId);
    for (const ending of ENDINGS) {
      const picture = await this.storage.open(stem + ending);
      if (picture) return picture;
    }
    const newest = await this.newest(`${stem}/`);
    const picture = newest && (await this.storage.open(newest.key));
    if (picture) return picture;
    throw new ServiceError(
      kind === 'avatar' ? 'avatar_not_found' : 'photo_not_found',
      `User ${userId} has no ${kind}: put one with PUT /v1/users/${userId}/${kind} or store it at ${this.storage.uri(this.key(kind, userId))}`,
      'user_id',
    );
  }

  /** Its bytes; throws what `open` does, and `unsupported_picture` where they are too many. */
  async read(kind: UserPicture, userId: string): Promise<Buffer> {
    return (await this.load(kind, userId)).bytes;
  }

  /** The same, with the name of this version of it. */
  async load(kind: UserPicture, userId: string): Promise<LoadedPicture> {
    const picture = await this.open(kind, userId);
    return { etag: picture.etag, bytes: await bytesOf(picture) };
  }

  /** The name of its version. */
  async etag(kind: UserPicture, userId: string): Promise<string> {
    const { etag, body } = await this.open(kind, userId);
    body.destroy();
    return etag;
  }

  /** Removes the picture in every spelling but `keep`. */
  async remove(kind: UserPicture, userId: string, keep?: string): Promise<void> {
    const stem = this.stem(kind, userId);
    for (const ending of ENDINGS) if (stem + ending !== keep) await this.storage.delete(stem + ending);
    // With the slash: `bob/` is not the start of `bobby/`.
    for await (const { key } of this.storage.list(`${stem}/`)) await this.storage.delete(key);
  }

  private stem(kind: UserPicture, userId: string): string {
    return (kind === 'avatar' ? this.config.S3_AVATAR_PREFIX : this.config.S3_SUBJECT_PREFIX) + userId;
  }

  private async newest(prefix: string): Promise<ObjectInfo | undefined> {
    let newest: ObjectInfo | undefined;
    for await (const object of this.storage.list(prefix)) {
      if (!newest || isNewer(object, newest)) newest = object;
    }
    return newest;
  }
}

/** The bytes of a user's picture, which others may have put there. */
export async function bytesOf({ size, body }: StoredObject): Promise<Buffer> {
  try {
    if (size <= MAX_PICTURE_BYTES) return await buffer(body);
  } catch (error) {
    const sentence = 'The storage broke off in the middle of a picture';
    throw new ServiceError('storage_unavailable', sentence, undefined, { cause: error });
  } finally {
    body.destroy();
  }
  // The caller's own body was small, so this is no 413.
  const limit = `${MAX_PICTURE_BYTES / 1024 / 1024} MiB`;
  const sentence = `Expected at most ${limit} for the stored picture of the user but its file is larger`;
  throw new ServiceError('unsupported_picture', sentence, 'user_id');
}

/** Of two of the same moment always the same one, in whatever order they are listed. */
const isNewer = (a: ObjectInfo, b: ObjectInfo): boolean =>
  a.lastModified > b.lastModified || (a.lastModified.getTime() === b.lastModified.getTime() && a.key > b.key);
