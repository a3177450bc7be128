import { DEFAULT_IDENTITY_STRENGTH } from '@app/models/family';
import { Decimal, Flag, OneOf, Optional, Prompt, UserId, Whole } from '../validation/fields';
import { StyleName } from '../validation/name.fields';
import { PictureOptions } from './images.dto';

/** Pictures that one is chosen from, at most. */
export const MAX_CANDIDATES = 8;

export const IDENTITIES = ['ip_adapter', 'photomaker', 'auto'] as const;

/** What the routes take that draw a user. */
export class UserPictureOptions extends PictureOptions {
  /**
   * A ready-made look, as `GET /v1/styles` lists it: it says how the prompt is put, and options. What the request says
   * itself stays, and its LoRAs come before those of the style. Left out: MEMORY_PROMPT_TEMPLATE, or SUBJECT_PROMPT.
   */
  @Optional()
  @StyleName()
  readonly style?: string;

  /**
   * Where the likeness comes from: the IP-Adapter, which takes the look of the whole picture along; or PhotoMaker, which
   * takes the person alone, and needs a photo of a face. `auto`: PhotoMaker for subject where the service has it, the
   * IP-Adapter for memory; the other where one is missing, or an option of the other is given.
   */
  @Optional()
  @OneOf(IDENTITIES, { default: 'ip_adapter' })
  readonly identity?: (typeof IDENTITIES)[number];

  /** Of PhotoMaker: the share of the steps, the last ones, that heed the person. Less follows the prompt more. */
  @Optional()
  @Decimal(0, 1, { default: DEFAULT_IDENTITY_STRENGTH })
  readonly identity_strength?: number;

  /**
   * So many pictures are drawn, one after the other, at most the service's MAX_IMAGES: the first with the seed, the next one
   * with one more, and so on. The one whose face is most like that in the avatar or photo is the answer, and the others are
   * forgotten. Takes the time, and the share of the queue, of as many.
   */
  @Optional()
  @Whole(1, MAX_CANDIDATES, { default: 1 })
  readonly candidates?: number;

  /**
   * All candidates that were drawn are the answer, the best first, each with its seed and `likeness`; none is forgotten. With
   * `candidates` of 2 or more.
   */
  @Optional()
  @Flag({ default: false })
  readonly all_candidates?: boolean;

  /**
   * No other candidate is drawn once one has this `likeness`. If none has it, the most like is the answer, and `warnings`
   * say so.
   */
  @Optional()
  @Decimal(0, 1, { example: 0.8 })
  readonly min_likeness?: number;

  /** Without a face in it the picture is no answer: the error `no_face` is. */
  @Optional()
  @Flag({ default: false })
  readonly require_face?: boolean;
}

export class MemoryRequest extends UserPictureOptions {
  /** Whose avatar the picture is drawn from. */
  @UserId()
  readonly user_id!: string;

  /** What to draw; the service sets it into MEMORY_PROMPT_TEMPLATE, or into the prompt of `style`. */
  @Prompt({ example: 'a walk on the beach at sunset' })
  readonly prompt!: string;
}

export class SubjectRequest extends UserPictureOptions {
  /** Whose photo the portrait is drawn from. */
  @UserId()
  readonly user_id!: string;
}
