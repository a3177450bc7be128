import { Controller, Get, Header, HttpStatus, Res, ServiceUnavailableException } from '@nestjs/common';
import { ApiOkResponse, ApiResponse, ApiTags } from '@nestjs/swagger';
import {
  HealthCheck,
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import type { Response } from 'express';
import { Drain } from '@app/lifecycle';
import { Public } from '../auth/scope.decorators';
import { ApiErrorsWithoutKey } from '../errors/api.errors.dto';
import { HealthReply, LivenessReport, ReadinessReport } from './health.dto';
import { Readiness } from './readiness';

/** Terminus would document its examples. */
const UNDOCUMENTED = { noCache: true, swaggerDocumentation: false };

@ApiTags('health')
@Public()
@ApiErrorsWithoutKey('not_found')
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly indicator: HealthIndicatorService,
    private readonly readiness: Readiness,
    private readonly drain: Drain,
  ) {}

  /** Whether pictures can be made; 503 with the reason while they cannot. */
  @Get()
  @Header('Cache-Control', 'no-store')
  @ApiOkResponse({ type: HealthReply, description: 'They can' })
  @ApiResponse({
    status: 503,
    type: HealthReply,
    description: 'The model is loading, the engine failed, or the service is draining',
  })
  async summary(@Res({ passthrough: true }) response: Response): Promise<HealthReply> {
    const reason = this.draining
      ? 'Image generation service is not ready: draining'
      : await this.readiness.reason();
    if (reason === undefined) return { status: 'healthy', message: 'Image generation service is ready' };
    response.status(HttpStatus.SERVICE_UNAVAILABLE);
    return { status: 'unhealthy', message: reason };
  }

  /** Whether the process answers at all. Never touches the engine or the storage: a restart would not heal them. */
  @Get('live')
  @HealthCheck(UNDOCUMENTED)
  @ApiOkResponse({ type: LivenessReport, description: 'It does' })
  live(): LivenessReport {
    // Not Terminus' own: it says 503 in a process that shuts down.
    return { status: 'ok', info: {}, error: {}, details: {} };
  }

  /**
   * Whether this process does its work: each engine's state, load per cent, device and whether it is a GPU; whether jobs
   * can be kept; whether the storage answers, as of the last seconds. With ROLE=api always ready, with its dependencies as data. A process that is asked to end is not ready.
   */
  @Get('ready')
  @HealthCheck(UNDOCUMENTED)
  @ApiOkResponse({ type: ReadinessReport, description: 'It does its work' })
  @ApiResponse({ status: 503, type: ReadinessReport, description: 'It does not; `error` has the reasons' })
  async ready(@Res({ passthrough: true }) response: Response): Promise<HealthCheckResult> {
    try {
      return await this.health.check([() => (this.draining ? this.drained() : this.readiness.look())]);
    } catch (error) {
      // The report is the answer; the one error shape is for requests that failed.
      if (!(error instanceof ServiceUnavailableException)) throw error;
      const report = error.getResponse() as HealthCheckResult;
      if (this.readiness.always && !this.draining) return { ...report, status: 'ok' };
      response.status(HttpStatus.SERVICE_UNAVAILABLE);
      return report;
    }
  }

  private get draining(): boolean {
    return this.drain.draining.aborted;
  }

  /** Without a look at anything else: the balancer has to know now. */
  private drained(): HealthIndicatorResult {
    return this.indicator.check('process').down({ reason: 'draining' });
  }
}
