import { createHash } from 'node:crypto';
import { Injectable, Logger } from '@nestjs/common';
import { Config, FACES } from '@app/config';
import { ServiceError } from '@app/errors';
import { FaceFinder, isInstalled, type Face } from '@app/faces';
import { ModelCatalog } from '@app/models';
import { aroundFace, toOverview, type Crop, type Framing, type Region, type Turn } from '@app/pictures';
import { Storage } from '@app/storage';
import { absent, UserPictures, type LoadedPicture, type UserPicture } from './user.pictures';

/** What was seen in a picture. Sizes and places are in pixels of the stored picture, upright. */
export interface Sight {
  readonly width: number;
  readonly height: number;
  /** The largest first; undefined: nobody has looked. */
  readonly faces?: readonly Face[];
}

/** Who decided what of the picture the model sees. */
export type CropChoice = 'caller' | 'face' | 'attention' | 'centre';

/** A stored picture, and what of it the model is to see. */
export interface SeenPicture extends Sight {
  readonly bytes: Buffer;
  readonly crop: Crop;
  readonly by: CropChoice;
}

/** Both of them belong to the very bytes whose hash they bear: whatever else is stored by then, it is not theirs. */
type Remembered<T> = T & { readonly sha256: string };

/** More than anything of ours: others may have put something there. */
const MAX_REMEMBERED = 64 * 1024;
/** Faces of one picture that are remembered. */
const MAX_FACES = 20;

/**
 * The faces in users' pictures, and what of these the model sees. What was found is stored apart from the picture, by
 * its hash, under `faces/USER/`; it goes with the picture. Pictures that others put there are looked at when they are
 * first used.
 */
@Injectable()
export class UserFaces {
  /** Whether anybody looks for faces here. */
  readonly isOn: boolean;
  private readonly logger = new Logger(UserFaces.name);

  constructor(
    config: Config,
    private readonly storage: Storage,
    private readonly pictures: UserPictures,
    private readonly finder: FaceFinder,
    private readonly models: ModelCatalog,
  ) {
    this.isOn = config.FACE_DETECTION && isInstalled();
    if (this.isOn !== config.FACE_DETECTION) {
      this.logger.warn('Faces are not looked for: the optional package @vladmandic/human is not installed');
    }
  }

  /** Looks at a picture, if anybody does; nothing of it is stored yet. */
  async look(bytes: Buffer, turn: Turn): Promise<Sight> {
    const { own, ...overview } = await toOverview(bytes, 'user_id', turn);
    const faces = this.isOn ? await this.finder.find(overview, turn) : undefined;
    const scale = own.width / overview.width;
    return { ...own, faces: faces?.slice(0, MAX_FACES).map((face) => scaled(face, scale, own)) };
  }

  /**
   * The stored picture with what is known of it, now or from before, and the crop that the first model sees. Throws what
   * `UserPictures.load` does.
   */
  async open(
    kind: UserPicture,
    userId: string,
    turn: Turn,
    framing = framingOf(this.models.usual.config),
  ): Promise<SeenPicture> {
    const picture = await this.load(kind, userId);
    const { bytes } = picture;
    const crop = await this.recall<Region>(cropKey(kind, userId), bytes);
    // Where nobody looks any more, what was seen is not told either.
    let sight = this.isOn ? await this.recall<Sight>(sightKey(kind, userId), bytes) : undefined;
    if (!sight) {
      sight = await this.look(bytes, turn);
      if (sight.faces) await this.remember(kind, userId, sightKey(kind, userId), sight, picture);
    }
    return { ...sight, bytes, ...this.choose(sight, framing, crop) };
  }

  /** The same for those who only draw: as fast as ever where nobody looks. */
  async openToDraw(
    kind: UserPicture,
    userId: string,
    turn: Turn,
    framing?: Framing,
  ): Promise<Pick<SeenPicture, 'bytes' | 'crop'>> {
    if (this.isOn) return this.open(kind, userId, turn, framing);
    const { bytes } = await this.load(kind, userId);
    return { bytes, crop: (await this.recall<Region>(cropKey(kind, userId), bytes)) ?? 'centre' };
  }

  /** A new picture was stored: what was known of the old one goes. */
  async replace(kind: UserPicture, userId: string, bytes: Buffer, sight?: Sight): Promise<void> {
    await this.remove(kind, userId);
    if (!sight?.faces) return;
    const picture = await this.pictures.load(kind, userId).catch(absent);
    if (picture?.bytes.equals(bytes)) {
      await this.remember(kind, userId, sightKey(kind, userId), sight, picture);
    }
  }

  /** From now on the model sees this part of the picture. */
  async setCrop(kind: UserPicture, userId: string, crop: Region, turn: Turn): Promise<void> {
    const picture = await this.load(kind, userId);
    const known = await this.recall<Sight>(sightKey(kind, userId), picture.bytes);
    const { width, height } = known ?? (await toOverview(picture.bytes, 'user_id', turn)).own;
    assertInside(crop, { width, height });
    if (await this.remember(kind, userId, cropKey(kind, userId), crop, picture)) return;
    throw new ServiceError(
      'storage_unavailable',
      'The crop could not be stored, or the photo became another meanwhile; send the request again',
    );
  }

  async removeCrop(kind: UserPicture, userId: string): Promise<void> {
    await this.storage.delete(cropKey(kind, userId));
  }

  /** Everything that is known of the picture. */
  async remove(kind: UserPicture, userId: string): Promise<void> {
    await this.storage.delete(sightKey(kind, userId));
    await this.storage.delete(cropKey(kind, userId));
  }

  /** Everything that is known of the user's pictures. */
  async removeAll(userId: string): Promise<void> {
    for await (const { key } of this.storage.list(`${FACES}${userId}/`)) await this.storage.delete(key);
  }

  /** Of a picture that another program deleted goes what is known of it. */
  private async load(kind: UserPicture, userId: string): Promise<LoadedPicture> {
    try {
      return await this.pictures.load(kind, userId);
    } catch (error) {
      absent(error);
      await this.remove(kind, userId);
      throw error;
    }
  }

  private choose(
    { faces, width, height }: Sight,
    framing: Framing,
    crop?: Region,
  ): Pick<SeenPicture, 'crop' | 'by'> {
    if (crop) return { crop, by: 'caller' };
    if (!this.isOn) return { crop: 'centre', by: 'centre' };
    const [largest] = faces ?? [];
    if (!largest) return { crop: 'attention', by: 'attention' };
    return { crop: aroundFace(largest, { width, height }, framing), by: 'face' };
  }

  private async recall<T extends object>(key: string, bytes: Buffer): Promise<T | undefined> {
    const stored = await this.storage.read(key, MAX_REMEMBERED).catch(tooLarge);
    const found = stored && (parse(stored) as Remembered<T> | undefined);
    if (found?.sha256 !== hash(bytes)) return undefined;
    return Object.fromEntries(Object.entries(found).filter(([name]) => name !== 'sha256')) as T;
  }

  /** False where that did not succeed, or the picture is another by now: nothing of it is left then. */
  private async remember(
    kind: UserPicture,
    userId: string,
    key: string,
    known: object,
    { bytes, etag }: LoadedPicture,
  ): Promise<boolean> {
    try {
      const text = JSON.stringify({ sha256: hash(bytes), ...known });
      await this.storage.put(key, Buffer.from(text), 'application/json');
      // Whoever removed the picture meanwhile has done so with what was known of it, too, before this was written.
      if ((await this.pictures.etag(kind, userId).catch(absent)) === etag) return true;
    } catch (error) {
      this.logger.warn(`What is known of a picture was not stored: ${(error as Error).message}`);
    }
    await this.storage.delete(key).catch(() => {});
    return false;
  }
}

/** What of a person a model's IP-Adapter sees: those for faces were trained on faces alone. */
export const framingOf = ({ IP_ADAPTER_PATH: path = '' }: Pick<Config, 'IP_ADAPTER_PATH'>): Framing =>
  /plus-face/i.test(path) ? 'face' : 'shoulders';

const sightKey = (kind: UserPicture, userId: string) => `${FACES}${userId}/${kind}.json`;
const cropKey = (kind: UserPicture, userId: string) => `${FACES}${userId}/${kind}.crop.json`;
const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

function parse(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString()) ?? undefined;
  } catch {
    return undefined;
  }
}

function tooLarge(error: unknown): undefined {
  if (!(error instanceof ServiceError) || error.code !== 'payload_too_large') throw error;
}

function scaled(face: Face, scale: number, { width, height }: { width: number; height: number }): Face {
  const [x, y] = [Math.round(face.x * scale), Math.round(face.y * scale)];
  return {
    ...face,
    ...{ x, y },
    width: Math.min(width - x, Math.round(face.width * scale)),
    height: Math.min(height - y, Math.round(face.height * scale)),
  };
}

function assertInside(crop: Region, { width, height }: { width: number; height: number }): void {
  if (crop.x + crop.width <= width && crop.y + crop.height <= height) return;
  const { x, y } = crop;
  throw new ServiceError(
    'invalid_request',
    `Expected a crop inside the photo, which is ${width}x${height}, but received ${crop.width}x${crop.height} at ${x},${y}`,
  );
}
