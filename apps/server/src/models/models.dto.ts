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

  /** Whether an engine has it now; another one is loaded when its turn comes. Only where the service has several (MODELS_FILE). */
  readonly loaded?: boolean;
}

export class ModelsReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** Each model, then its other names. The first is drawn with where a request names none. */
  readonly data!: ModelEntry[];
}
