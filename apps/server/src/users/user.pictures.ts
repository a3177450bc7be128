import { buffer } from 'node:stream/consumers';
import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { MAX_PICTURE_BYTES } from '@app/pictures';
import { Storage, type ObjectInfo, type StoredObject } from '@app/storage';

export const MAX_PHOTOS = 8;

/** `avatar` is what memory draws from, `photo` what subject does: the first one, or one of more. */
export type UserPicture = 'avatar' | 'photo' | `photo-${number}`;

/** Which of the user's photos it is, from 1 on; undefined: the avatar. */
export function photoNumber(kind: UserPicture): number | undefined {
  if (kind === 'avatar') return undefined;
  return kind === 'photo' ? 1 : Number(kind.slice('photo-'.length));
}

export const photoAt = (number: number): UserPicture => (number === 1 ? 'photo' : `photo-${number}`);

/** What callers call it. */
export const wordFor = (kind: UserPicture) => (kind === 'avatar' ? 'avatar' : 'photo');

const PHOTOS = Array.from({ length: MAX_PHOTOS }, (_, i) => photoAt(i + 1));

export interface LoadedPicture {
  readonly bytes: Buffer;
  readonly etag: string;
}

/** Spellings of the key in order of preference; the service itself writes only the first. */
const ENDINGS = ['.png', '.jpg', '.jpeg', '.webp'];

/** Where a user's avatar and photos are stored. */
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
    throw this.missing(kind, userId);
  }

  /** The photos that there are, in their order. */
  async photos(userId: string): Promise<UserPicture[]> {
    const there = new Set<string>();
    for await (const { key } of this.storage.list(this.more(userId))) {
      there.add(`photo-${key.slice(this.more(userId).length).split(/[./]/, 1)[0]}`);
    }
    const first = await this.open('photo', userId).catch(absent);
    first?.body.destroy();
    if (first) there.add('photo');
    return PHOTOS.filter((kind) => there.has(kind));
  }

  /** Stores a photo at the first place that is free; throws what `freePlaces` does. */
  async add(userId: string, png: Buffer): Promise<UserPicture> {
    for (const kind of await this.freePlaces(userId)) {
      // Whoever adds another at this moment may have the place by now.
      if (await this.storage.create(this.key(kind, userId), png, 'image/png')) return kind;
    }
    return this.add(userId, png);
  }

  /** Where photos can be added; throws `too_many_photos` where nowhere. */
  async freePlaces(userId: string): Promise<UserPicture[]> {
    const taken = await this.photos(userId);
    const free = PHOTOS.filter((kind) => !taken.includes(kind));
    if (free.length > 0) return free;
    throw new ServiceError(
      'too_many_photos',
      `Expected at most ${MAX_PHOTOS} photos of user ${userId}, who has as many: delete one first, with DELETE /v1/users/${userId}/photos/1 or another number`,
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

  /** Removes avatar and photos. */
  async removeAll(userId: string): Promise<void> {
    await this.remove('avatar', userId);
    await this.remove('photo', userId);
    for await (const { key } of this.storage.list(this.more(userId))) await this.storage.delete(key);
  }

  private stem(kind: UserPicture, userId: string): string {
    if (kind === 'avatar') return this.config.S3_AVATAR_PREFIX + userId;
    if (kind === 'photo') return this.config.S3_SUBJECT_PREFIX + userId;
    return `${this.more(userId)}${photoNumber(kind)}`;
  }

  /** The folder of the photos after the first. No user's name has a tilde, so it is no other user's. */
  private more(userId: string): string {
    return `${this.config.S3_SUBJECT_PREFIX}${userId}~/`;
  }

  private missing(kind: UserPicture, userId: string): ServiceError {
    const code = kind === 'avatar' ? 'avatar_not_found' : 'photo_not_found';
    const user = `/v1/users/${userId}`;
    const isFirst = kind === 'avatar' || kind === 'photo';
    const sentence = isFirst
      ? `User ${userId} has no ${kind}: put one with PUT ${user}/${kind} or store it at ${this.storage.uri(this.key(kind, userId))}`
      : `User ${userId} has no photo ${photoNumber(kind)}: GET ${user}/photos lists those there are`;
    return new ServiceError(code, sentence, isFirst ? 'user_id' : 'photo');
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

/** A picture that is not there is none. */
export function absent(error: unknown): undefined {
  const gone: string[] = ['avatar_not_found', 'photo_not_found'];
  if (!(error instanceof ServiceError) || !gone.includes(error.code)) throw error;
}
