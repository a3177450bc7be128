import { ApiProperty } from '@nestjs/swagger';
import { STYLE_ROUTES, StyleOptions, type StyleRoute } from './style.dto';

export class StyleEntry {
  /**
   * What a request's `style` names it by.
   * @example "watercolour"
   */
  readonly name!: string;

  /**
   * For people who choose among the styles.
   * @example "Hand-painted, on white paper"
   */
  readonly description!: string;

  /** The routes that take it. */
  @ApiProperty({ enum: STYLE_ROUTES, isArray: true })
  readonly routes!: StyleRoute[];

  /**
   * What it draws; `{prompt}` stands for the prompt of memory.
   * @example "watercolour painting of {prompt}, soft washes"
   */
  readonly prompt!: string;

  /** What it sets, unless the request says otherwise. */
  readonly options!: StyleOptions;
}

export class StylesReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** In the order of their names. */
  readonly data!: StyleEntry[];
}
