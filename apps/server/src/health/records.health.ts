import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { Config } from '@app/config';
import { Jobs } from '@app/jobs';

/** Whether jobs can be read and written. */
@Injectable()
export class RecordsHealth {
  constructor(
    private readonly config: Config,
    private readonly indicator: HealthIndicatorService,
    private readonly jobs: Jobs,
  ) {}

  async check(): Promise<HealthIndicatorResult<'records'>> {
    const driver = this.config.REDIS_URL ? 'redis' : 'sqlite';
    const indicator = this.indicator.check('records');
    const failure = await this.failure();
    return failure === undefined ? indicator.up({ driver }) : indicator.down({ driver, reason: failure });
  }

  /** Why no job can be kept, in a sentence; undefined when jobs can. */
  async reason(): Promise<string | undefined> {
    const failure = await this.failure();
    return failure && `Image generation service is not ready: ${failure}`;
  }

  private async failure(): Promise<string | undefined> {
    try {
      await this.jobs.check();
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }
}
