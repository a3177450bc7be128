import { Controller, Get, Header } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import { Registry } from 'prom-client';
import { Public } from '../auth/scope.decorators';
import { ApiErrorsWithoutKey } from '../errors/api.errors.dto';
import { Metrics } from './metrics';

@ApiTags('health')
@Controller('metrics')
@Public()
@ApiErrorsWithoutKey('not_found')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  /** Jobs, engines, requests and the process, as Prometheus reads them. */
  @Get()
  @Header('Content-Type', Registry.PROMETHEUS_CONTENT_TYPE)
  @Header('Cache-Control', 'no-store')
  @ApiProduces('text/plain')
  @ApiOkResponse({ description: 'The metrics', schema: { type: 'string' } })
  readMetrics(): Promise<string> {
    return this.metrics.registry.metrics();
  }
}
