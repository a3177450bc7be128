import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { PictureUploads } from '@app/jobs';
import { DiskSpace } from '@app/storage';
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
    private readonly disk: DiskSpace,
  ) {
    super();
  }

  async look(): Promise<HealthIndicatorResult> {
    return { ...this.pipeline.check(), ...(await this.records.check()), ...(await this.storage()) };
  }

  async reason(): Promise<string | undefined> {
    const reason = this.pipeline.reason() ?? (await this.records.reason());
    if (reason !== undefined) return reason;
    const refusal = this.uploads.refusal?.reason ?? (await this.shortage());
    return refusal && `Image generation service is not ready: ${refusal}`;
  }

  /** No job is begun while pictures wait for it, and none accepted while its disk is short. */
  private async storage(): Promise<HealthIndicatorResult> {
    const { refusal } = this.uploads;
    const free = await this.disk.free().catch(() => undefined);
    const shortage = await this.shortage();
    const data = {
      ...(free !== undefined && { free_bytes: free }),
      ...(shortage && { reason: shortage }),
      ...refusal,
    };
    const storage = this.indicator.check('storage');
    return refusal || shortage ? storage.down(data) : storage.up(data);
  }

  private shortage(): Promise<string | undefined> {
    return this.disk.assertEnough().then(
      () => undefined,
      (error: Error) => error.message,
    );
  }
}
