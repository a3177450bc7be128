import { Injectable } from '@nestjs/common';
import { ServiceError } from '@app/errors';
import type { Turn } from '@app/pictures';
import { faceQuality } from './face.quality';
import { UserFaces, type SeenPicture } from './user.faces';
import { absent, UserPictures, type UserPicture } from './user.pictures';

/** A photo, and what is known of it. */
export type UserPhoto = Omit<SeenPicture, 'bytes'> & { readonly kind: UserPicture };

/** The photos that can be read, in their order, and those that cannot: another program may put anything there. */
export interface UserPhotoList {
  readonly photos: readonly UserPhoto[];
  readonly unreadable: readonly { readonly kind: UserPicture; readonly error: ServiceError }[];
}

/** A user's photos together. */
@Injectable()
export class UserPhotos {
  constructor(
    private readonly pictures: UserPictures,
    private readonly faces: UserFaces,
  ) {}

  async see(userId: string, turn: Turn): Promise<UserPhotoList> {
    const photos: UserPhoto[] = [];
    const unreadable: { kind: UserPicture; error: ServiceError }[] = [];
    // One at a time: each may be large.
    for (const kind of await this.pictures.photos(userId)) {
      try {
        photos.push({ ...(await this.faces.open(kind, userId, turn)), ...{ kind, bytes: undefined } });
      } catch (error) {
        if (isUnreadable(error)) unreadable.push({ kind, error });
        else absent(error);
      }
    }
    return { photos, unreadable };
  }

  /**
   * What a picture is drawn from: of the first that can be read, or of all. The best first: likeness is measured to it; before
   * it those that cannot be read, for whoever draws to say so. `photo` where there is none.
   */
  async toDraw(userId: string, turn: Turn): Promise<UserPicture[]> {
    const there = await this.pictures.photos(userId);
    if (there.length === 0) return ['photo'];
    if (there.length === 1 || !this.faces.isOn) return there;
    const { photos, unreadable } = await this.see(userId, turn);
    return photos.length > 0 ? [...unreadable, ...bestFirst(photos)].map(({ kind }) => kind) : there;
  }
}

export const isUnreadable = (error: unknown): error is ServiceError =>
  error instanceof ServiceError && error.code === 'unsupported_picture';

/** By what a likeness can be made of. */
export const bestFirst = (photos: readonly UserPhoto[]): UserPhoto[] =>
  [...photos].sort((a, b) => faceQuality(b) - faceQuality(a));
