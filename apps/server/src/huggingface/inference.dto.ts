import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsObject, IsString } from 'class-validator';
import { Optional } from '../validation/fields';
import { IgnoresUnknown } from '../validation/unknown.fields';

@IgnoresUnknown()
export class InferenceRequest {
  /** The prompt; with `parameters.prompt` the picture to begin from, in base64. */
  @IsString({ message: 'text' })
  @ApiProperty({ example: 'a lighthouse on a cliff, watercolour' })
  readonly inputs!: string;

  /**
   * `prompt`, where `inputs` is a picture; `width` and `height`, or both as `target_size`; `scheduler` (a sampler by its class
   * in diffusers, or a scheduler), and every option of `POST /v1/images/generations` by its own name: `negative_prompt`,
   * `num_inference_steps`, `guidance_scale`, `seed` and others.
   */
  @Optional()
  @IsObject({ message: 'an object' })
  @ApiPropertyOptional({ type: 'object', additionalProperties: true, example: { num_inference_steps: 30 } })
  readonly parameters?: Readonly<Record<string, unknown>>;
}
