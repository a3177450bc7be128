import { ApiProperty } from '@nestjs/swagger';

export class LoraEntry {
  /**
   * What a request's `loras` name it by.
   * @example "film-grain"
   */
  readonly name!: string;

  /**
   * How its file names itself.
   * @example "Film grain"
   */
  readonly title?: string;

  /**
   * The model that it was trained for, by its file; left out where that does not say. Those for others than SDXL are not
   * listed, and refused.
   * @example "SDXL"
   */
  readonly base_model?: string;

  /**
   * Words of a prompt that call what it learned, by its file.
   * @example ["film grain"]
   */
  readonly trigger_words!: string[];

  /**
   * Tensors in its file.
   * @example 722
   */
  readonly tensors!: number;
}

export class LorasReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** In the order of their names. */
  readonly data!: LoraEntry[];
}
