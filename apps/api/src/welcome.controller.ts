import { Controller, Get } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ApiTags } from '@nestjs/swagger';
import { NeedsNothing } from './access/needs';
import { ApiErrorsWithoutKey } from './api.errors.dto';
import { listRoutes } from './routes';
import { aboutService } from './service.version';
import { WelcomeReply } from './welcome.dto';

@ApiTags('service')
@Controller()
export class WelcomeController {
  constructor(private readonly adapter: HttpAdapterHost) {}

  /** What this is and what it answers. */
  @Get()
  @NeedsNothing()
  @ApiErrorsWithoutKey('rate_limited')
  welcome(): WelcomeReply {
    const { name, version, description } = aboutService();
    const endpoints = listRoutes(this.adapter)
      .filter(({ path }) => !/^\/docs\//.test(path)) // the files of the docs page
      .flatMap(({ path, methods }) =>
        methods.map((method) => `${method} ${path.replace(/[:*](\w+)/g, '{$1}')}`),
      );
    return { name, version, message: description, docs: '/docs', endpoints };
  }
}
