import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { PictureUploads } from '@app/jobs';
import { PipelineHealth } from './pipeline.health';
import { Readiness } from './readiness';
import { RecordsHealth } from './records.health';

/** An engine takes jobs, there are records to take them from, and the storage takes the pictures. */
@Injectable()
export class DrawingReadiness extends Readiness {
  readonly always = false;

  constructor(
    private readonly pipeline: PipelineHealth,
    private readonly records: RecordsHealth,
    private readonly indicator: HealthIndicatorService,
    private readonly uploads: PictureUploads,
  ) {
    super();
  }

  async look(): Promise<HealthIndicatorResult> {
    return { ...this.pipeline.check(), ...(await this.records.check()), ...this.storage() };
  }

  async reason(): Promise<string | undefined> {
    return this.pipeline.reason() ?? (await this.records.reason()) ?? this.refusal();
  }

  /** No job is begun while pictures wait for it. */
  private storage(): HealthIndicatorResult {
    const { refusal } = this.uploads;
    const storage = this.indicator.check('storage');
    return refusal ? storage.down({ ...refusal }) : storage.up();
  }

  private refusal(): string | undefined {
    const { refusal } = this.uploads;
    return refusal && `Image generation service is not ready: ${refusal.reason}`;
  }
}
