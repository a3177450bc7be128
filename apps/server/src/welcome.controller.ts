import { Controller, Get } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Config, pathPrefix } from '@app/config';
import { Public } from './auth/scope.decorators';
import { ApiErrorsWithoutKey, BOUND_ERRORS } from './errors/api.errors.dto';
import { PROBES } from './http/probes';
import { listRoutes } from './errors/routes';
import { aboutService } from './docs/service.version';
import { WelcomeReply } from './welcome.dto';

@ApiTags('service')
@Controller()
export class WelcomeController {
  constructor(
    private readonly config: Config,
    private readonly adapter: HttpAdapterHost,
  ) {}

  /** What this is and what it answers. */
  @Get()
  @Public()
  @ApiErrorsWithoutKey(...BOUND_ERRORS)
  @ApiOkResponse({ type: WelcomeReply, description: 'The service' })
  welcome(): WelcomeReply {
    const { name, version, description } = aboutService();
    const endpoints = listRoutes(this.adapter)
      .filter(({ path }) => !/^\/docs\//.test(path)) // the files of the docs page
      .filter(({ path }) => this.config.METRICS_PORT === undefined || !PROBES.test(path))
      .flatMap(({ path, methods }) =>
        methods.map((method) => `${method} ${path.replace(/[:*](\w+)/g, '{$1}')}`),
      );
    return { name, version, message: description, docs: `${pathPrefix(this.config)}/docs`, endpoints };
  }
}
