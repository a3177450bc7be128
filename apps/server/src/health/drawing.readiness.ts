import { Injectable } from '@nestjs/common';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { PipelineHealth } from './pipeline.health';
import { Readiness } from './readiness';
import { RecordsHealth } from './records.health';

/** An engine takes jobs, and there are records to take them from. */
@Injectable()
export class DrawingReadiness extends Readiness {
  readonly always = false;

  constructor(
    private readonly pipeline: PipelineHealth,
    private readonly records: RecordsHealth,
  ) {
    super();
  }

  async look(): Promise<HealthIndicatorResult> {
    return { ...this.pipeline.check(), ...(await this.records.check()) };
  }

  async reason(): Promise<string | undefined> {
    return this.pipeline.reason() ?? (await this.records.reason());
  }
}
