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
  type Start,
  type Turn,
} from '@app/pictures';
import { Storage } from '@app/storage';
import { UserFaces } from '../users/user.faces';
import type { PictureOptions } from './images.dto';
import type { PictureIntent } from './picture.intent';
import { ReferenceFetcher } from './reference.fetcher';

/** Requests that read a stored picture at a time: each may hold 20 MiB. The rest waits, in turns. */
const AT_ONCE = 8;
/** Seconds; places come free as fast as pictures are fetched. */
const RETRY_AFTER = 5;

/** Where the copies are stored. */
type Copies = Parameters<typeof inputsOf>[0];

/** Copies of the pictures that a job is made from: later changes of them do not matter. */
@Injectable()
export class JobInputs {
  private readonly reading = new Turns(AT_ONCE);

  constructor(
    private readonly faces: UserFaces,
    private readonly references: ReferenceFetcher,
    private readonly storage: Storage,
  ) {}

  /** With the size of the copy of `options.image` or else of the control's, which `sizeFor` makes of that picture's own. */
  async copy(
    id: string,
    options: Pick<PictureOptions, 'image' | 'mask' | 'control'>,
    intent: PictureIntent,
    turn: Required<Turn>,
    sizeFor: (own: Size) => Size,
  ): Promise<Copies & { readonly size?: Size }> {
    const kept: { -readonly [Key in keyof Copies]: Copies[Key] } = {};
    try {
      kept.referenceKey = await this.reference(id, intent, turn);
      const { image, mask, control } = options;
      let size: Size | undefined;
      if (image !== undefined) {
        const start = await this.given('image', image, intent, turn, (bytes) =>
          toStart(bytes, 'image', turn, sizeFor),
        );
        kept.imageKey = await this.keepStart(id, 'image', start, turn.signal);
        if (mask !== undefined) {
          const pixels = await this.given('mask', mask, intent, turn, (bytes) =>
            toMask(bytes, 'mask', turn, start),
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
  async discard(copies: Copies): Promise<void> {
    for (const key of inputsOf(copies)) await this.storage.delete(key).catch(() => {});
  }

  private async reference(
    id: string,
    intent: PictureIntent,
    turn: Required<Turn>,
  ): Promise<string | undefined> {
    const { reference } = intent;
    if (!reference) return undefined;
    const { caller, signal } = turn;
    // The place is held until the copy is kept: so long the bytes are in memory.
    if (!('url' in reference)) {
      return this.reading.run(caller, signal, async () => {
        const { bytes, crop } = await this.faces.openToDraw(reference.of, reference.userId, turn);
        return this.keepReference(id, bytes, 'user_id', turn, crop);
      });
    }
    const field = 'reference_image_url';
    return this.given(field, reference.url, intent, turn, (bytes) =>
      this.keepReference(id, bytes, field, turn),
    );
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
    id: string,
    bytes: Buffer,
    field: string,
    turn: Required<Turn>,
    crop?: Crop,
  ): Promise<string> {
    const pixels = await toReference(bytes, field, turn, crop);
    return this.keep(inputKey(id), await encodePng(pixels, REFERENCE_SIDE, REFERENCE_SIDE), turn.signal);
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
