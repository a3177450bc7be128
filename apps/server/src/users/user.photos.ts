import { Injectable } from '@nestjs/common';
import type { Turn } from '@app/pictures';
import { faceQuality } from './face.quality';
import { UserFaces, type SeenPicture } from './user.faces';
import { absent, UserPictures, type UserPicture } from './user.pictures';

/** A photo, and what is known of it. */
export type UserPhoto = Omit<SeenPicture, 'bytes'> & { readonly kind: UserPicture };

/** A user's photos together. */
@Injectable()
export class UserPhotos {
  constructor(
    private readonly pictures: UserPictures,
    private readonly faces: UserFaces,
  ) {}

  /** In their order. */
  async see(userId: string, turn: Turn): Promise<UserPhoto[]> {
    const photos: UserPhoto[] = [];
    // One at a time: each may be large.
    for (const kind of await this.pictures.photos(userId)) {
      const seen = await this.faces.open(kind, userId, turn).catch(absent);
      if (seen) photos.push({ ...seen, ...{ kind, bytes: undefined } });
    }
    return photos;
  }

  /** What a picture is drawn from: of all in their order, or else of the first, the best. The first photo where there is none. */
  async toDraw(userId: string, all: boolean, turn: Turn): Promise<UserPicture[]> {
    const there = await this.pictures.photos(userId);
    if (there.length === 0) return ['photo'];
    if (all || there.length === 1 || !this.faces.isOn) return there;
    const seen = bestFirst(await this.see(userId, turn));
    return seen.length > 0 ? seen.map(({ kind }) => kind) : there;
  }
}

/** By what a likeness can be made of. */
export const bestFirst = (photos: readonly UserPhoto[]): UserPhoto[] =>
  [...photos].sort((a, b) => faceQuality(b) - faceQuality(a));
