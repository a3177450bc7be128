import { MAX_CONTROL_STRENGTH } from '@app/models/family';
import { PREPROCESSORS } from '../jobs/picture.dto';
import { Decimal, OneOf, Optional, PictureInput } from '../validation/fields';
import { ControlNetName } from '../validation/name.fields';

export class ControlOption {
  /**
   * What the ControlNet sees, a PNG, JPEG or WebP picture as in `image`: edges, a depth map, or what it was trained on. It is
   * scaled and cut, around its middle, to the result's size.
   */
  @PictureInput()
  readonly image!: string | Buffer;

  /** How strongly it guides; 0 not at all. */
  @Optional()
  @Decimal(0, MAX_CONTROL_STRENGTH, { default: 1 })
  readonly strength?: number;

  /** `canny`: it sees the edges of `image`, white on black. Left out: `image` as it is. */
  @Optional()
  @OneOf(PREPROCESSORS)
  readonly preprocess?: (typeof PREPROCESSORS)[number];

  /** The ControlNet, as `GET /v1/control-nets` lists it. Left out: the only one that there is. */
  @Optional()
  @ControlNetName()
  readonly name?: string;
}
