import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsBoolean, IsString, ValidateNested } from 'class-validator';
import {
  DEFAULT_GUIDANCE_SCALE,
  DEFAULT_STEPS,
  DEFAULT_STRENGTH,
  HIRES_UPSCALERS,
  MAX_BATCH,
  MAX_GUIDANCE_SCALE,
  MAX_SIDE,
  MAX_STEPS,
} from '@app/models/family';
import { MAX_SEED } from '../images/images.dto';
import { Decimal, field, ListOf, NegativePrompt, Optional, Prompt, rule, Whole } from '../validation/fields';
import { IgnoresUnknown } from '../validation/unknown.fields';

const Side = () => Whole(1, MAX_SIDE, { example: 1024 });
const Count = () => Whole(1, MAX_BATCH, { default: 1 });

@IgnoresUnknown()
export class OverrideSettings {
  /** A model of `GET /sdapi/v1/sd-models`. Left out: what `POST /sdapi/v1/options` chose, or the first. */
  @Optional()
  @IsString({ message: 'text' })
  @ApiPropertyOptional({ example: 'stabilityai/stable-diffusion-xl-base-1.0' })
  readonly sd_model_checkpoint?: string;
}

/** The fields of that server that say something here. */
@IgnoresUnknown()
export class DrawingRequest {
  /** What to draw. `<lora:NAME:0.8>` applies a LoRA of `GET /sdapi/v1/loras`. */
  @Prompt({ example: 'a lighthouse on a cliff, watercolour' })
  readonly prompt!: string;

  /** What the picture should not show. Left out: the service's NEGATIVE_PROMPT. */
  @Optional()
  @NegativePrompt({ example: 'blurry, watermark' })
  readonly negative_prompt?: string;

  /** Sampling steps. */
  @Optional()
  @Whole(1, MAX_STEPS, { default: DEFAULT_STEPS })
  readonly steps?: number;

  /** How closely the picture follows the prompt: `guidance_scale` of the other routes. */
  @Optional()
  @Decimal(0, MAX_GUIDANCE_SCALE, { default: DEFAULT_GUIDANCE_SCALE })
  readonly cfg_scale?: number;

  /** Pixels, made the next smaller multiple of 8. Left out: that of the service's DEFAULT_SIZE. */
  @Optional()
  @Side()
  readonly width?: number;

  /** Likewise. */
  @Optional()
  @Side()
  readonly height?: number;

  /** Start of the noise; -1: random, and in the reply's `info`. */
  @Optional()
  @Whole(-1, MAX_SEED, { default: -1 })
  readonly seed?: number;

  /** A sampler of `GET /sdapi/v1/samplers`. Left out: the engine's choice. */
  @Optional()
  @IsString({ message: 'text' })
  @ApiPropertyOptional({ example: 'DPM++ 2M Karras' })
  readonly sampler_name?: string;

  /** The same by its older name; `sampler_name` wins. */
  @Optional()
  @IsString({ message: 'text' })
  readonly sampler_index?: string;

  /** A scheduler of `GET /sdapi/v1/schedulers`. Left out, or `Automatic`: the engine's choice. */
  @Optional()
  @IsString({ message: 'text' })
  @ApiPropertyOptional({ example: 'Karras' })
  readonly scheduler?: string;

  /** Pictures. With `n_iter` they are at most the service's MAX_IMAGES. */
  @Optional()
  @Count()
  readonly batch_size?: number;

  /** So many times `batch_size` pictures. */
  @Optional()
  @Count()
  readonly n_iter?: number;

  /** Settings of this request alone; where there is one model, none of them counts. */
  @Optional()
  @ValidateNested()
  @Type(() => OverrideSettings)
  @ApiPropertyOptional({ type: () => OverrideSettings })
  readonly override_settings?: OverrideSettings;

  /** false: the reply has no pictures. They are stored all the same. */
  @Optional()
  @IsBoolean({ message: 'true or false' })
  @ApiPropertyOptional({ default: true })
  readonly send_images?: boolean;
}

@IgnoresUnknown()
export class Txt2ImgRequest extends DrawingRequest {
  /** A second sampling at a larger size: `hires` of the other routes. Without it the fields below do not count. */
  @Optional()
  @IsBoolean({ message: 'true or false' })
  @ApiPropertyOptional({ default: false })
  readonly enable_hr?: boolean;

  /** By how much the sides grow. */
  @Optional()
  @Decimal(0, MAX_SIDE, { default: 2 })
  readonly hr_scale?: number;

  /** A width instead, or 0. The larger of the scales that it and hr_resize_y ask for counts: nothing is cut off. */
  @Optional()
  @Whole(0, MAX_SIDE, { default: 0 })
  readonly hr_resize_x?: number;

  /** Likewise. */
  @Optional()
  @Whole(0, MAX_SIDE, { default: 0 })
  readonly hr_resize_y?: number;

  /** Sampling steps of the second time; 0: as many as `steps`. */
  @Optional()
  @Whole(0, MAX_STEPS, { default: 0 })
  readonly hr_second_pass_steps?: number;

  /** One of `GET /sdapi/v1/upscalers` and `latent-upscale-modes`. */
  @Optional()
  @IsString({ message: 'text' })
  @ApiPropertyOptional({ default: HIRES_UPSCALERS[0] })
  readonly hr_upscaler?: string;

  /** How much the second sampling changes: 0 hardly anything, 1 all. */
  @Optional()
  @Decimal(0, 1, { default: DEFAULT_STRENGTH })
  readonly denoising_strength?: number;
}

@IgnoresUnknown()
export class Img2ImgRequest extends DrawingRequest {
  /**
   * The picture to begin from: base64, a data URL, or an http or https address. It is scaled and cut around its middle to
   * `width` and `height`; those left out, the result has its proportions.
   */
  @ListOf(1, 'a list of one picture')
  @IsString({ each: true, message: 'a list of one picture' })
  @ApiProperty({ type: [String], minItems: 1, maxItems: 1 })
  readonly init_images!: string[];

  /** How much of it is changed: 0 hardly anything, 1 all. */
  @Optional()
  @Decimal(0, 1, { default: DEFAULT_STRENGTH })
  readonly denoising_strength?: number;

  /**
   * What is white in this picture of the same proportions is painted anew, or if it is transparent somewhere, what is opaque.
   * The rest stays as it is.
   */
  @Optional()
  @IsString({ message: 'a picture' })
  readonly mask?: string;

  /** 1: the other part is painted anew. */
  @Optional()
  @field(
    { anyOf: [{ type: 'integer', enum: [0, 1] }, { type: 'boolean' }], default: 0 },
    rule('invert', '0 or 1', (value) => [0, 1, false, true].includes(value as number)),
  )
  readonly inpainting_mask_invert?: number | boolean;
}

export class DrawingReply {
  /** The pictures: base64, as they are stored. */
  readonly images!: string[];

  /** What was asked for, as far as it was understood. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  readonly parameters!: object;

  /**
   * What was made, as JSON in a text: `seed`, `all_seeds`, `width`, `height`, `infotexts` and others.
   * @example "{\"seed\":42,\"width\":1024,\"height\":1024}"
   */
  readonly info!: string;
}

export class ProgressState {
  /** Always false: what is interrupted is gone at once. */
  readonly skipped!: boolean;

  /** Likewise. */
  readonly interrupted!: boolean;

  /** The id of the job; empty: none. */
  readonly job!: string;

  /** Requests of this caller that wait for their pictures. */
  readonly job_count!: number;

  /** When the job was accepted, as `YYYYMMDDhhmmss`; `0`: none. */
  readonly job_timestamp!: string;

  /** Always 0. */
  readonly job_no!: number;

  /** Sampling steps done. */
  readonly sampling_step!: number;

  /** Sampling steps in all. */
  readonly sampling_steps!: number;
}

export class WebUiProgressReply {
  /** 0 to 1, of the caller's oldest request that waits for its pictures. */
  @ApiProperty({ format: 'double' })
  readonly progress!: number;

  /** Seconds until it may be done; 0: not known. */
  @ApiProperty({ format: 'double' })
  readonly eta_relative!: number;

  /** What it does. */
  readonly state!: ProgressState;

  /** Always null: `GET /v1/jobs/{id}/events` shows pictures on their way. */
  @ApiProperty({ type: 'string', nullable: true })
  readonly current_image!: null;

  /** Always null. */
  @ApiProperty({ type: 'string', nullable: true })
  readonly textinfo!: null;
}

export class EmptyReply {}
