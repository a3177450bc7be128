import { ApiProperty } from '@nestjs/swagger';

export class UpscalerEntry {
  /**
   * What a request's `upscale` and `hires.upscaler` name it by.
   * @example "RealESRGAN_x4plus"
   */
  readonly name!: string;

  /**
   * By how much the sides grow.
   * @example 4
   */
  readonly factor!: number;
}

export class UpscalersReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** In the order of their names. */
  readonly data!: UpscalerEntry[];
}
