import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { RequireScope } from '../auth/scope.decorators';
import { ApiErrors } from '../errors/api.errors.dto';
import { routesOf } from './style.dto';
import { Styles } from './styles';
import { StylesReply } from './styles.dto';

@ApiTags('models')
@Controller('v1/styles')
export class StylesController {
  constructor(private readonly styles: Styles) {}

  /** The ready-made looks that memory and subject take. */
  @Get()
  @RequireScope('read')
  @ApiOkResponse({ type: StylesReply, description: 'The styles' })
  @ApiErrors()
  listStyles(): StylesReply {
    const data = this.styles.all.map((style) => ({ ...style, routes: [...routesOf(style)] }));
    return { object: 'list', data };
  }
}
