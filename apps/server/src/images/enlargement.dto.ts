import { Type } from 'class-transformer';
import { ValidateNested } from 'class-validator';
import {
  DEFAULT_HIRES_STRENGTH,
  HIRES_UPSCALERS,
  MAX_HIRES_SCALE,
  MAX_STEPS,
  MIN_HIRES_STRENGTH,
} from '@app/models/family';
import { Decimal, NoList, Optional, Whole } from '../validation/fields';
import { HiresUpscalerName, UpscalerName } from '../validation/name.fields';

export class HiresOptions {
  /** By how much the sides grow; the result's are the nearest multiples of 64. */
  @Decimal(1, MAX_HIRES_SCALE, { example: 1.4 })
  readonly scale!: number;

  /** Sampling steps of the second time. Left out: as many as num_inference_steps. */
  @Optional()
  @Whole(1, MAX_STEPS)
  readonly steps?: number;

  /** How much of the first picture is changed: 0.01 hardly anything, 1 all. */
  @Optional()
  @Decimal(MIN_HIRES_STRENGTH, 1, { default: DEFAULT_HIRES_STRENGTH })
  readonly strength?: number;

  /**
   * How the first picture becomes larger: `Latent`, `Latent (nearest)`, `Latent (nearest-exact)`, `Latent (antialiased)`,
   * `Latent (bicubic)`, `Latent (bicubic antialiased)`, `Lanczos`, `Nearest`, or a model of `GET /v1/upscalers`. The first six
   * need a strength of 0.5 or more, or the result is blurred.
   */
  @Optional()
  @HiresUpscalerName({ default: HIRES_UPSCALERS[0] })
  readonly upscaler?: string;
}

/** How a picture becomes larger than the engine draws it well at once. */
export class EnlargementOptions {
  /**
   * A second sampling at a larger size, which is the picture's then: detail that a small picture has no room for, without the
   * doubled figures of a large one. Not with `mask` or `control`.
   */
  @Optional()
  @NoList()
  @ValidateNested()
  @Type(() => HiresOptions)
  readonly hires?: HiresOptions;

  /**
   * An ESRGAN model of `GET /v1/upscalers`, which enlarges the drawn picture by its factor, to at most 4096x4096 pixels. Not
   * with `mask`.
   */
  @Optional()
  @UpscalerName()
  readonly upscale?: string;
}
