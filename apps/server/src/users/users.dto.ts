import { UserId } from '../validation/fields';

export class UserParams {
  /** Whose picture it is. */
  @UserId()
  readonly user_id!: string;
}

export class UserPictureReply {
  /**
   * Whose picture it is.
   * @example "user123"
   */
  readonly user_id!: string;

  /**
   * Where the picture is stored.
   * @example "s3://pictures/avatars/user123.png"
   */
  readonly s3_uri!: string;

  /**
   * Pixels, after shrinking to at most 1024 a side.
   * @example 768
   */
  readonly width!: number;

  /**
   * Pixels.
   * @example 1024
   */
  readonly height!: number;

  /**
   * Bytes of the stored PNG.
   * @example 914263
   */
  readonly bytes!: number;
}
