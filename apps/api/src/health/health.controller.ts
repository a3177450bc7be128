import { Controller, Get, Header, HttpStatus, Res, ServiceUnavailableException } from '@nestjs/common';
import { ApiResponse, ApiTags } from '@nestjs/swagger';
import { HealthCheck, HealthCheckService, type HealthCheckResult } from '@nestjs/terminus';
import type { Response } from 'express';
import { NeedsNothing } from '../access/needs';
import { HealthReply } from './health.dto';
import { Readiness } from './readiness';

@ApiTags('health')
@NeedsNothing()
@Controller('health')
export class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly readiness: Readiness,
  ) {}

  /** Whether pictures can be made; 503 with the reason while they cannot. */
  @Get()
  @Header('Cache-Control', 'no-store')
  @ApiResponse({ status: 503, type: HealthReply, description: 'The model is loading, or the engine failed' })
  async summary(@Res({ passthrough: true }) response: Response): Promise<HealthReply> {
    const reason = await this.readiness.reason();
    if (reason === undefined) return { status: 'healthy', message: 'Image generation service is ready' };
    response.status(HttpStatus.SERVICE_UNAVAILABLE);
    return { status: 'unhealthy', message: reason };
  }

  /** Whether the process answers at all. Never touches the engine or the storage: a restart would not heal them. */
  @Get('live')
  @HealthCheck()
  live(): Promise<HealthCheckResult> {
    return this.health.check([]);
  }

  /**
   * Whether this process does its work: each engine's state, load per cent, device and whether it is a GPU; whether jobs
   * can be kept. With ROLE=api always ready, with its dependencies as data.
   */
  @Get('ready')
  @HealthCheck()
  async ready(@Res({ passthrough: true }) response: Response): Promise<HealthCheckResult> {
    try {
      return await this.health.check([() => this.readiness.look()]);
    } catch (error) {
      // The report is the answer; the one error shape is for requests that failed.
      if (!(error instanceof ServiceUnavailableException)) throw error;
      const report = error.getResponse() as HealthCheckResult;
      if (this.readiness.always) return { ...report, status: 'ok' };
      response.status(HttpStatus.SERVICE_UNAVAILABLE);
      return report;
    }
  }
}
