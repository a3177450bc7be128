import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsString } from 'class-validator';
import { Optional } from '../validation/fields';
import { IgnoresUnknown } from '../validation/unknown.fields';

export const NoText = () => ApiProperty({ type: 'string', nullable: true });

@IgnoresUnknown()
export class WebUiOptions {
  /** A model of `GET /sdapi/v1/sd-models`, or another name of it where there are several. Others are refused. */
  @Optional()
  @IsString({ message: 'text' })
  @ApiPropertyOptional({ example: 'stabilityai/stable-diffusion-xl-base-1.0' })
  readonly sd_model_checkpoint?: string;
}

export class WebUiOptionsReply {
  /**
   * The model of the caller's requests that name none, as `GET /sdapi/v1/sd-models` names it.
   * @example "stabilityai/stable-diffusion-xl-base-1.0"
   */
  readonly sd_model_checkpoint!: string;

  /** Always `Automatic`. */
  readonly sd_vae!: string;

  /** In which format pictures are stored. */
  readonly samples_format!: string;
}

export class WebUiModel {
  /**
   * The model's name.
   * @example "stabilityai/stable-diffusion-xl-base-1.0"
   */
  readonly title!: string;

  /** The same. */
  readonly model_name!: string;

  /** Always null. */
  @NoText()
  readonly hash!: null;

  /** Always null. */
  @NoText()
  readonly sha256!: null;

  /** The same as `title`: paths stay inside. */
  readonly filename!: string;

  /** Always null. */
  @NoText()
  readonly config!: null;
}

export class WebUiSampler {
  /**
   * What `sampler_name` can be.
   * @example "Euler a"
   */
  readonly name!: string;

  /** What it can be as well, the engine's own name first. */
  readonly aliases!: string[];

  /** Always empty. */
  @ApiProperty({ type: 'object', additionalProperties: { type: 'string' } })
  readonly options!: Record<string, string>;
}

export class WebUiScheduler {
  /**
   * What `scheduler` can be.
   * @example "karras"
   */
  readonly name!: string;

  /**
   * What it can be as well.
   * @example "Karras"
   */
  readonly label!: string;

  /** Likewise. */
  readonly aliases!: string[];

  /** Always -1. */
  readonly default_rho!: number;

  /** Always false. */
  readonly need_inner_model!: boolean;
}

export class WebUiLora {
  /**
   * The NAME of `<lora:NAME:1>`.
   * @example "film-grain"
   */
  readonly name!: string;

  /** The same. */
  readonly alias!: string;

  /** Always empty: paths stay inside. */
  readonly path!: string;

  /** Always empty. */
  @ApiProperty({ type: 'object', additionalProperties: { type: 'string' } })
  readonly metadata!: Record<string, string>;
}

export class WebUiUpscaler {
  /**
   * The upscaler's name.
   * @example "None"
   */
  readonly name!: string;

  /** Always null. */
  @NoText()
  readonly model_name!: null;

  /** Always null. */
  @NoText()
  readonly model_path!: null;

  /** Always null. */
  @NoText()
  readonly model_url!: null;

  /** By how much it enlarges. */
  readonly scale!: number;
}

export class WebUiName {
  /**
   * The name.
   * @example "Latent"
   */
  readonly name!: string;
}

export class WebUiVae {
  /** The VAE's name. */
  readonly model_name!: string;

  /** Its file. */
  readonly filename!: string;
}
