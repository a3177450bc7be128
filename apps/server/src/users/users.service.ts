import { Injectable } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Jobs } from '@app/jobs';
import { Turns } from '@app/lifecycle';
import { encodePng, isPng, toAvatarPng, toReference, type Region, type Turn } from '@app/pictures';
import { REFERENCE_SIDE } from '@app/models/family';
import { Storage } from '@app/storage';
import { OpenRequests } from '../http/open.requests';
import { PICTURE_TYPES, type Upload } from './picture.body';
import { faceWarnings, unreadablePhoto } from './face.warnings';
import { UserFaces, type Sight } from './user.faces';
import { bestFirst, UserPhotos, type UserPhoto } from './user.photos';
import { bytesOf, photoNumber, UserPictures, type UserPicture } from './user.pictures';
import type { UserPhotosReply, UserPictureInfo, UserPictureReply } from './users.dto';

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
    private readonly faces: UserFaces,
    private readonly photos: UserPhotos,
    private readonly live: OpenRequests,
    private readonly jobs: Jobs,
  ) {}

  /** Stores the picture re-encoded: no metadata, no foreign bytes, a bounded size. */
  put(kind: UserPicture, userId: string, upload: Upload, turn: RequestTurn): Promise<UserPictureReply> {
    return this.store(userId, upload, turn, async (png) => {
      await this.storage.put(this.pictures.key(kind, userId), png, 'image/png');
      return kind;
    });
  }

  /** The same for one more photo, at the first place that is free. */
  async addPhoto(userId: string, upload: Upload, turn: RequestTurn): Promise<UserPictureReply> {
    await this.pictures.freePlaces(userId);
    return this.store(userId, upload, turn, (png) => this.pictures.add(userId, png));
  }

  private store(
    userId: string,
    { body, contentType }: Upload,
    { caller, signal: left }: RequestTurn,
    write: (png: Buffer) => Promise<UserPicture>,
  ): Promise<UserPictureReply> {
    return this.live.run(userId, left, async (signal) => {
      if (!body) throw notAPicture(contentType);
      const began = await this.jobs.now();
      const { png, width, height } = await toAvatarPng(body, undefined, { caller, signal });
      const sight = this.faces.isOn ? await this.faces.look(png, { caller, signal }) : undefined;
      signal.throwIfAborted();
      // A deletion in another process aborts nothing here: it is looked for before, and once more after the write.
      await this.jobs.assertUser(userId, began);
      const kind = await write(png);
      const key = this.pictures.key(kind, userId);
      await this.jobs.assertUser(userId, began).catch(async (error: ServiceError) => {
        if (error.code === 'cancelled') await this.storage.delete(key);
        throw error;
      });
      // Only now: when the put fails, the old picture is still there.
      await this.pictures.remove(kind, userId, key);
      await this.faces.replace(kind, userId, png, sight);
      const warnings = sight && faceWarnings(kind, sight);
      return {
        ...{ user_id: userId, photo: photoNumber(kind), s3_uri: this.storage.uri(key) },
        ...{ width, height, bytes: png.length, warnings },
      };
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

  /** What was seen in the stored picture. */
  info(kind: UserPicture, userId: string, { caller, signal }: RequestTurn): Promise<UserPictureInfo> {
    return this.seen(userId, { caller, signal }, async (turn) =>
      this.toInfo(userId, { kind, ...(await this.faces.open(kind, userId, turn)) }),
    );
  }

  /** The same of all photos. */
  photosOf(userId: string, { caller, signal }: RequestTurn): Promise<UserPhotosReply> {
    return this.seen(userId, { caller, signal }, async (turn) => {
      const { photos, unreadable } = await this.photos.see(userId, turn);
      const best = bestFirst(photos).at(0);
      return {
        object: 'list',
        data: photos.map((photo) => this.toInfo(userId, photo)),
        best: (best && photoNumber(best.kind)) ?? null,
        warnings: unreadable.map(({ kind, error }) => unreadablePhoto(photoNumber(kind)!, error)),
      };
    });
  }

  private toInfo(userId: string, { kind, crop, by, ...sight }: UserPhoto): UserPictureInfo {
    return {
      ...{ user_id: userId, photo: photoNumber(kind) },
      ...{ width: sight.width, height: sight.height },
      face_detection: detectionOf(this.faces.isOn, sight),
      faces: [...(sight.faces ?? [])],
      crop: { by, ...(typeof crop === 'object' && crop) },
      warnings: this.faces.isOn ? faceWarnings(kind, sight, by) : [],
    };
  }

  /** The very pixels of it that the model sees, as PNG. */
  reference(kind: UserPicture, userId: string, caller: RequestTurn): Promise<Buffer> {
    return this.seen(userId, caller, async (turn) => {
      const { bytes, crop } = await this.faces.openToDraw(kind, userId, turn);
      return encodePng(await toReference(bytes, 'user_id', turn, crop), REFERENCE_SIDE, REFERENCE_SIDE);
    });
  }

  /** From now on the model sees this part of the picture; with none what it saw before. */
  setCrop(kind: UserPicture, userId: string, crop: Region, turn: RequestTurn): Promise<UserPictureInfo> {
    return this.seen(userId, turn, (seen) => this.faces.setCrop(kind, userId, crop, seen)).then(() =>
      this.info(kind, userId, turn),
    );
  }

  removeCrop(kind: UserPicture, userId: string): Promise<void> {
    return this.faces.removeCrop(kind, userId);
  }

  async remove(kind: UserPicture, userId: string): Promise<void> {
    await this.pictures.remove(kind, userId);
    // Afterwards: who looks at the picture meanwhile sees that it is gone, and leaves nothing.
    await this.faces.remove(kind, userId);
  }

  /** One of few at a time, and ended with the user. */
  private seen<T>(
    userId: string,
    { caller, signal }: RequestTurn,
    work: (turn: RequestTurn) => Promise<T>,
  ): Promise<T> {
    return this.live.run(userId, signal, (ends) =>
      this.converting.run(caller, ends, () => work({ caller, signal: ends })),
    );
  }

  /**
   * Everything of a user. The order closes the gaps: without avatar and photos no new picture of theirs can begin,
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
    await this.pictures.removeAll(userId);
    await this.faces.removeAll(userId);
  }
}

const detectionOf = (isOn: boolean, { faces }: Sight) => (!isOn ? 'off' : faces ? 'done' : 'failed');

/** Bodies of other types are not even read. */
function notAPicture(contentType?: string): ServiceError {
  const expected = PICTURE_TYPES.join(', ');
  const received = contentType ? `Content-Type ${contentType.slice(0, 100)}` : 'no body';
  return new ServiceError(
    'unsupported_picture',
    `Expected a picture as the body (${expected}) but received ${received}`,
  );
}
