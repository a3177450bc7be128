import { ApiProperty } from '@nestjs/swagger';

export class EmbeddingEntry {
  /**
   * The word of a prompt, in upper or lower case, that stands for it.
   * @example "night-sky"
   */
  readonly name!: string;

  /**
   * Tokens that it takes of the prompt.
   * @example 4
   */
  readonly vectors!: number;
}

export class EmbeddingsReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** In the order of their names. */
  readonly data!: EmbeddingEntry[];
}
