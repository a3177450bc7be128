import { Optional, Prompt, StyleName, UserId } from '../validation/fields';
import { PictureOptions } from './images.dto';

/** What the routes take that draw a user. */
export class UserPictureOptions extends PictureOptions {
  /**
   * A ready-made look, as `GET /v1/styles` lists it: it says how the prompt is put, and options. What the request says
   * itself stays, and its LoRAs come before those of the style. Left out: MEMORY_PROMPT_TEMPLATE, or SUBJECT_PROMPT.
   */
  @Optional()
  @StyleName()
  readonly style?: string;
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
