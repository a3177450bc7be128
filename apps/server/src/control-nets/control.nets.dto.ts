import { ApiProperty } from '@nestjs/swagger';

export class ControlNetEntry {
  /**
   * What `control.name` of a request names it by.
   * @example "canny"
   */
  readonly name!: string;
}

export class ControlNetsReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** In the order of their names. */
  readonly data!: ControlNetEntry[];
}
