import { ApiProperty } from '@nestjs/swagger';
import { OneOf, OptionalText, UserId, Whole, WholeText } from '../validation/fields';
import type { CropChoice } from './user.faces';
import { MAX_PHOTOS } from './user.pictures';

export class UserParams {
  /** Whose picture it is. */
  @UserId()
  readonly user_id!: string;
}

export class PhotoParams extends UserParams {
  /** Which photo: 1 is that of `/photo`. */
  @WholeText(1, MAX_PHOTOS)
  readonly photo!: number;
}

export class UserPictureReply {
  /**
   * Whose picture it is.
   * @example "user123"
   */
  readonly user_id!: string;

  /**
   * Which of the user's photos: 1 is that of `/photo`. Absent: the avatar.
   * @example 1
   */
  readonly photo?: number;

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

  /**
   * What stands in the way of a good likeness, in words; absent where nobody looks for faces (FACE_DETECTION).
   * @example ["2 people; the largest face is used"]
   */
  readonly warnings?: string[];
}

/** Where a crop may begin and end: pictures have 65 megapixels and sides of at most 1 to 32. */
const MAX_SIDE = 65_535;
/** What is smaller shows nothing. */
const MIN_CROP = 16;

export const VIEWS = ['picture', 'info', 'reference'] as const;

export class PictureView {
  /**
   * `picture`: the picture. `info`: what was seen in it, as JSON. `reference`: the very pixels that the model sees of it,
   * 224x224.
   */
  @OptionalText()
  @OneOf(VIEWS, { default: 'picture' })
  readonly view: (typeof VIEWS)[number] = 'picture';
}

export class CropRequest {
  /**
   * Left border, in pixels of the stored picture, upright (width and height of `?view=info`).
   * @example 120
   */
  @Whole(0, MAX_SIDE)
  readonly x!: number;

  /**
   * Upper border.
   * @example 40
   */
  @Whole(0, MAX_SIDE)
  readonly y!: number;

  /**
   * Of the part that the model is to see. What it lacks to a square is white.
   * @example 400
   */
  @Whole(MIN_CROP, MAX_SIDE)
  readonly width!: number;

  /**
   * Of that part.
   * @example 400
   */
  @Whole(MIN_CROP, MAX_SIDE)
  readonly height!: number;
}

export class FaceReply {
  /**
   * Left border of the face, from its brows to its chin, in pixels of the stored picture, upright.
   * @example 178
   */
  readonly x!: number;

  /**
   * Upper border.
   * @example 70
   */
  readonly y!: number;

  /**
   * Pixels of the stored picture.
   * @example 93
   */
  readonly width!: number;

  /**
   * Likewise.
   * @example 104
   */
  readonly height!: number;

  /**
   * How sure the detector is, from 0 to 1.
   * @example 0.87
   */
  @ApiProperty({ type: 'number', format: 'double', minimum: 0, maximum: 1 })
  readonly score!: number;

  /**
   * About 4 where the face is sharp; below 1.5 it is blurred.
   * @example 4.15
   */
  @ApiProperty({ type: 'number', format: 'double', minimum: 0 })
  readonly sharpness!: number;

  /**
   * Degrees by which the head is turned in the plane of the picture; 180 is upside down.
   * @example 3
   */
  readonly roll!: number;

  /**
   * Degrees, to a side.
   * @example 0
   */
  readonly yaw!: number;

  /**
   * Degrees, up or down.
   * @example 8
   */
  readonly pitch!: number;
}

export class CropReply {
  /**
   * Who chose it: the `caller` (PUT …/photo/crop), the largest `face`, what draws the eye where there is none (`attention`),
   * or the `centre`, where nobody looks for faces.
   */
  readonly by!: CropChoice;

  /** In pixels of the stored picture, upright; of `attention` and `centre` nothing is told, see `?view=reference`. */
  readonly x?: number;
  /** Upper border. */
  readonly y?: number;
  /** Pixels of the stored picture. */
  readonly width?: number;
  /** Likewise. */
  readonly height?: number;
}

export class UserPictureInfo {
  /**
   * Whose picture it is.
   * @example "user123"
   */
  readonly user_id!: string;

  /**
   * Which of the user's photos: 1 is that of `/photo`. Absent: the avatar.
   * @example 1
   */
  readonly photo?: number;

  /**
   * Pixels of the stored picture, upright.
   * @example 768
   */
  readonly width!: number;

  /**
   * Likewise.
   * @example 1024
   */
  readonly height!: number;

  /** `off`: nobody looks for faces here (FACE_DETECTION). `failed`: nobody could; it is tried again at the next ask. */
  readonly face_detection!: 'done' | 'off' | 'failed';

  /** The largest first. */
  readonly faces!: FaceReply[];

  /** What of the picture the model sees. */
  readonly crop!: CropReply;

  /**
   * What stands in the way of a good likeness, in words.
   * @example ["the face is 93 pixels wide; 200 or more give a better likeness"]
   */
  readonly warnings!: string[];
}

export class UserPhotosReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** In the order of their numbers. */
  readonly data!: UserPictureInfo[];

  /**
   * The one that is drawn from where one is: by the size and sharpness of its largest face. null: there is no photo.
   * @example 2
   */
  readonly best!: number | null;

  /**
   * Photos that another program stored and nobody can read, in words. They are in no other field.
   * @example ["Photo 3 cannot be read and is left out: Expected a complete PNG, JPEG or WebP picture for user_id but received a damaged or cut one"]
   */
  readonly warnings!: string[];
}
