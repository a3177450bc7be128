import { ApiExtraModels, ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { NoText } from './settings.dto';

export class WebUiEmbedding {
  /** Always null. */
  @NoText()
  readonly step!: null;

  /** Always null. */
  @NoText()
  readonly sd_checkpoint!: null;

  /** Always null. */
  @NoText()
  readonly sd_checkpoint_name!: null;

  /** Numbers of a vector. */
  readonly shape!: number;

  /** Tokens that it takes of the prompt. */
  readonly vectors!: number;
}

const byName = { type: 'object', additionalProperties: { $ref: getSchemaPath(WebUiEmbedding) } } as const;

@ApiExtraModels(WebUiEmbedding)
export class WebUiEmbeddings {
  /** By name. */
  @ApiProperty(byName)
  readonly loaded!: Record<string, WebUiEmbedding>;

  /** Always empty: what cannot be used is in the log. */
  @ApiProperty(byName)
  readonly skipped!: Record<string, WebUiEmbedding>;
}
