import { ApiProperty } from '@nestjs/swagger';

export class ModelEntry {
  /**
   * What a request's `model` names it by.
   * @example "stabilityai/stable-diffusion-xl-base-1.0"
   */
  readonly id!: string;

  /** Always `model`. */
  @ApiProperty({ enum: ['model'] })
  readonly object!: 'model';

  /**
   * Since when this service offers it, in Unix seconds.
   * @example 1767225600
   */
  readonly created!: number;

  /**
   * Who publishes it, by the first part of its name; else this service.
   * @example "stabilityai"
   */
  readonly owned_by!: string;
}

export class ModelsReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** The model, then its other names. */
  readonly data!: ModelEntry[];
}
