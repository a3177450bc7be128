import { Injectable } from '@nestjs/common';
import type { Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { inputKey, inputsOf } from '@app/jobs';
import { Turns } from '@app/lifecycle';
import { REFERENCE_SIDE } from '@app/models/family';
import { NoPlaceError } from '@app/outbound';
import {
  encodeMask,
  encodePng,
  toMask,
  toReference,
  toStart,
  type Crop,
  type Framing,
  type Start,
  type Turn,
} from '@app/pictures';
import { Storage } from '@app/storage';
import { unreadablePhoto } from '../users/face.warnings';
import { UserFaces } from '../users/user.faces';
import { isUnreadable, UserPhotos } from '../users/user.photos';
import { absent, photoNumber } from '../users/user.pictures';
import type { PictureOptions } from './images.dto';
import type { PictureIntent, UserReference } from './picture.intent';
import { ReferenceFetcher } from './reference.fetcher';

/** Requests that read a stored picture at a time: each may hold 20 MiB. The rest waits, in turns. */
const AT_ONCE = 8;
/** Seconds; places come free as fast as pictures are fetched. */
const RETRY_AFTER = 5;

/** Where the copies are stored, and of which photos they are. */
interface Kept {
  referenceKey?: string;
  moreReferenceKeys?: string[];
  photos?: number[];
  warnings?: string[];
  imageKey?: string;
  maskKey?: string;
  controlKey?: string;
}

/** What of a request says which pictures those are. */
interface Wanted extends Pick<PictureOptions, 'image' | 'mask' | 'control'> {
  /** All photos of the user, not the best alone. */
  readonly manyPhotos: boolean;
  /** What of a person is shown. */
  readonly framing: Framing;
}

/** Copies of the pictures that a job is made from: later changes of them do not matter. */
@Injectable()
export class JobInputs {
  private readonly reading = new Turns(AT_ONCE);

  constructor(
    private readonly faces: UserFaces,
    private readonly photos: UserPhotos,
    private readonly references: ReferenceFetcher,
    private readonly storage: Storage,
  ) {}

  /** With the size of the copy of `options.image` or else of the control's, which `sizeFor` makes of that picture's own. */
  async copy(
    id: string,
    wanted: Wanted,
    intent: PictureIntent,
    turn: Required<Turn>,
    sizeFor: (own: Size) => Size,
  ): Promise<Readonly<Kept> & { readonly size?: Size }> {
    const kept: Kept = {};
    try {
      await this.reference(id, intent, wanted, turn, kept);
      const { image, mask, control } = wanted;
      let size: Size | undefined;
      if (image !== undefined) {
        const start = await this.given('image', image, intent, turn, (bytes) =>
          toStart(bytes, 'image', turn, sizeFor),
        );
        kept.imageKey = await this.keepStart(id, 'image', start, turn.signal);
        if (mask !== undefined) {
          const pixels = await this.given('mask', mask, intent, turn, (bytes) =>
            toMask(bytes, 'mask', turn, start, intent.maskRule),
          );
          kept.maskKey = await this.keepMask(id, pixels, start.size, turn.signal);
        }
        ({ size } = start);
      }
      if (control !== undefined) {
        const seen = await this.given('control.image', control.image, intent, turn, (bytes) =>
          toStart(bytes, 'control.image', turn, (own) => size ?? sizeFor(own)),
        );
        kept.controlKey = await this.keepStart(id, 'control', seen, turn.signal);
        ({ size } = seen);
      }
      return { ...kept, size };
    } catch (error) {
      await this.discard(kept);
      throw error;
    }
  }

  /** A job that was not accepted leaves nothing; should this fail, the maintenance finds the copies. */
  async discard(copies: Parameters<typeof inputsOf>[0]): Promise<void> {
    for (const key of inputsOf(copies)) await this.storage.delete(key).catch(() => {});
  }

  private async reference(
    id: string,
    intent: PictureIntent,
    wanted: Wanted,
    turn: Required<Turn>,
    kept: Kept,
  ): Promise<void> {
    const { reference } = intent;
    if (!reference) return;
    const { caller, signal } = turn;
    // The place is held until the copies are kept: so long the bytes are in memory.
    if (!('url' in reference))
      return this.reading.run(caller, signal, () => this.stored(id, reference, wanted, turn, kept));
    const field = 'reference_image_url';
    kept.referenceKey = await this.given(field, reference.url, intent, turn, (bytes) =>
      this.keepReference(inputKey(id), bytes, field, turn),
    );
  }

  /** Of a user's avatar; of their photos the best, or all. */
  private async stored(
    id: string,
    { of, userId }: UserReference,
    { manyPhotos, framing }: Wanted,
    turn: Required<Turn>,
    kept: Kept,
  ): Promise<void> {
    const kinds = of === 'avatar' ? [of] : await this.photos.toDraw(userId, turn);
    let problem: unknown;
    for (const kind of kinds) {
      const isFirst = kept.referenceKey === undefined;
      if (!isFirst && !manyPhotos) return;
      const number = photoNumber(kind);
      try {
        const { bytes, crop } = await this.faces.openToDraw(kind, userId, turn, framing);
        const at = inputKey(id, isFirst ? undefined : number);
        const key = await this.keepReference(at, bytes, 'user_id', turn, crop);
        if (isFirst) kept.referenceKey = key;
        else (kept.moreReferenceKeys ??= []).push(key);
        if (number !== undefined) (kept.photos ??= []).push(number);
      } catch (error) {
        problem = error;
        if (number !== undefined && isUnreadable(error)) {
          (kept.warnings ??= []).push(unreadablePhoto(number, error));
          problem = new ServiceError(error.code, `Photo ${number}: ${error.message}`, error.param, {
            cause: error,
          });
        } else absent(error); // deleted since it was listed: another may be there
      }
    }
    if (kept.referenceKey === undefined) throw problem;
  }

  /** A picture that came with the request, or whose address did. */
  private given<Result>(
    field: string,
    picture: string | Buffer,
    { user }: PictureIntent,
    turn: Required<Turn>,
    use: (bytes: Buffer) => Promise<Result>,
  ): Promise<Result> {
    if (typeof picture !== 'string') return use(picture);
    if (!picture.startsWith('data:')) return this.fetched(picture, field, user, turn, use);
    return use(Buffer.from(picture.slice(picture.indexOf(',') + 1), 'base64'));
  }

  private async fetched<Result>(
    url: string,
    field: string,
    user: string | undefined,
    { caller, signal }: Required<Turn>,
    use: (bytes: Buffer) => Promise<Result>,
  ): Promise<Result> {
    // Whose turn it is: the account's, in it the user's, and of this one host.
    const host = URL.canParse(url) ? new URL(url).hostname : '';
    try {
      return await this.references.places.run(
        [caller, ...(user === undefined ? [] : [user]), host],
        signal,
        async () => use(await this.references.fetch(url, signal, field)),
      );
    } catch (error) {
      throw error instanceof NoPlaceError ? crowded(error, field) : error;
    }
  }

  private async keepReference(
    key: string,
    bytes: Buffer,
    field: string,
    turn: Required<Turn>,
    crop?: Crop,
  ): Promise<string> {
    const pixels = await toReference(bytes, field, turn, crop);
    return this.keep(key, await encodePng(pixels, REFERENCE_SIDE, REFERENCE_SIDE), turn.signal);
  }

  private async keepStart(
    id: string,
    which: 'image' | 'control',
    { pixels, size }: Start,
    signal: AbortSignal,
  ): Promise<string> {
    return this.keep(inputKey(id, which), await encodePng(pixels, size.width, size.height), signal);
  }

  private async keepMask(
    id: string,
    pixels: Buffer,
    { width, height }: Size,
    signal: AbortSignal,
  ): Promise<string> {
    return this.keep(inputKey(id, 'mask'), await encodeMask(pixels, width, height), signal);
  }

  private async keep(key: string, png: Buffer, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    await this.storage.put(key, png, 'image/png');
    return key;
  }
}

const crowded = (cause: NoPlaceError, field: string) =>
  new ServiceError(
    'queue_full',
    'Expected fewer pictures of this caller to be fetched at a time; send the request again later',
    field,
    { cause, retryAfter: RETRY_AFTER },
  );
