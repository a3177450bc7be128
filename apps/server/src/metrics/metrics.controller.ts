import { Controller, Get, Header, Headers, Res } from '@nestjs/common';
import { ApiOkResponse, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Public } from '../auth/scope.decorators';
import { ApiErrorsWithoutKey } from '../errors/api.errors.dto';
import { formatFor } from './exposition';
import { Metrics } from './metrics';

@ApiTags('health')
@Controller('metrics')
@Public()
@ApiErrorsWithoutKey('not_found')
export class MetricsController {
  constructor(private readonly metrics: Metrics) {}

  /**
   * Jobs, engines, requests and the process, as Prometheus reads them; with `Accept: application/openmetrics-text` the
   * histograms of jobs also name a job, and its trace, of each bucket.
   */
  @Get()
  @Header('Cache-Control', 'no-store')
  @ApiProduces('text/plain', 'application/openmetrics-text')
  @ApiOkResponse({ description: 'The metrics', schema: { type: 'string' } })
  readMetrics(
    @Headers('accept') accept: string | undefined,
    @Res({ passthrough: true }) response: Response,
  ): Promise<string> {
    const format = formatFor(accept);
    response.setHeader('Content-Type', format);
    response.vary('Accept');
    return this.metrics.exposition.write(format);
  }
}
