import { ApiProperty } from '@nestjs/swagger';

export class LoraEntry {
  /**
   * What a request's `loras` name it by.
   * @example "film-grain"
   */
  readonly name!: string;

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
