import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Jobs } from '@app/jobs';
import { Turns } from '@app/lifecycle';
import { isPng, toAvatarPng, type Turn } from '@app/pictures';
import { Storage } from '@app/storage';
import { OpenRequests } from '../http/open.requests';
import { PICTURE_TYPES } from './picture.body';
import { bytesOf, UserPictures, type UserPicture } from './user.pictures';
import type { UserPictureReply } from './users.dto';

/** Pictures that are read from the storage, or converted, at a time: each may hold 20 MiB. The rest waits, in turns. */
const AT_ONCE = 8;

/** Who asks, for as long as he waits. */
export type RequestTurn = Required<Turn>;

/** A user's picture on its way to a caller. */
export interface GivenPicture {
  readonly etag: string;
  /** Absent: the caller has it. */
  readonly png?: Buffer;
}

@Injectable()
export class UsersService {
  private readonly reading = new Turns(AT_ONCE);
  /** Apart: it takes long, and what the service stored itself needs none. */
  private readonly converting = new Turns(AT_ONCE);

  constructor(
    private readonly config: Config,
    private readonly storage: Storage,
    private readonly pictures: UserPictures,
    private readonly live: OpenRequests,
    private readonly jobs: Jobs,
  ) {}

  /** Stores the picture re-encoded: no metadata, no foreign bytes, a bounded size. */
  put(
    kind: UserPicture,
    userId: string,
    body: Buffer | undefined,
    { caller, signal: left }: RequestTurn,
    contentType?: string,
  ): Promise<UserPictureReply> {
    return this.live.run(userId, left, async (signal) => {
      if (!body) throw notAPicture(contentType);
      const began = await this.jobs.now();
      const { png, width, height } = await toAvatarPng(body, undefined, { caller, signal });
      signal.throwIfAborted();
      // A deletion in another process aborts nothing here: it is looked for before, and once more after the write.
      await this.jobs.assertUser(userId, began);
      const key = this.pictures.key(kind, userId);
      await this.storage.put(key, png, 'image/png');
      await this.jobs.assertUser(userId, began).catch(async (error: ServiceError) => {
        if (error.code === 'cancelled') await this.storage.delete(key);
        throw error;
      });
      // Only now: when the put fails, the old picture is still there.
      await this.pictures.remove(kind, userId, key);
      return { user_id: userId, s3_uri: this.storage.uri(key), width, height, bytes: png.length };
    });
  }

  /** The picture as it is stored, where that is PNG under the service's own key; what others stored there is made PNG. */
  async get(
    kind: UserPicture,
    userId: string,
    isKnown: (etag: string) => boolean,
    turn: RequestTurn,
  ): Promise<GivenPicture> {
    const { caller, signal } = turn;
    const { etag, known, bytes } = await this.reading.run(caller, signal, async () => {
      signal.throwIfAborted();
      const stored = await this.pictures.open(kind, userId);
      const isOwn = stored.key === this.pictures.key(kind, userId);
      // Weak: another version may make other bytes of the same file.
      const etag = isOwn ? stored.etag : `W/${stored.etag}`;
      const known = isKnown(etag);
      const bytes = isOwn && !known ? await bytesOf(stored) : undefined;
      stored.body.destroy();
      return { etag, known, bytes };
    });
    if (known) return { etag };
    if (bytes && isPng(bytes)) return { etag, png: bytes };
    return this.converting.run(caller, signal, async () => {
      signal.throwIfAborted();
      const { png } = await toAvatarPng(await this.pictures.read(kind, userId), 'user_id', turn);
      return { etag, png };
    });
  }

  async remove(kind: UserPicture, userId: string): Promise<void> {
    await this.pictures.remove(kind, userId);
  }

  /**
   * Everything of a user. The order closes the gaps: without avatar and photo no new picture of theirs can begin,
   * then requests and jobs end, those of other processes too, and only then goes what those may have written last.
   */
  async removeUser(userId: string): Promise<void> {
    await this.removePictures(userId);
    await this.live.cancelUser(userId);
    await this.jobs.removeUser(userId);
    await this.removePictures(userId);
    for await (const { key } of this.storage.list(`${this.config.S3_GENERATED_PREFIX}${userId}/`)) {
      await this.storage.delete(key);
    }
  }

  private async removePictures(userId: string): Promise<void> {
    await this.pictures.remove('avatar', userId);
    await this.pictures.remove('photo', userId);
  }
}

/** Bodies of other types are not even read. */
function notAPicture(contentType?: string): ServiceError {
  const expected = PICTURE_TYPES.join(', ');
  const received = contentType ? `Content-Type ${contentType.slice(0, 100)}` : 'no body';
  return new ServiceError(
    'unsupported_picture',
    `Expected a picture as the body (${expected}) but received ${received}`,
  );
}
