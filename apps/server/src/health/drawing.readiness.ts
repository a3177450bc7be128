import { Injectable } from '@nestjs/common';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { PictureUploads } from '@app/jobs';
import { DiskSpace } from '@app/storage';
import { PipelineHealth } from './pipeline.health';
import { Readiness } from './readiness';
import { RecordsHealth } from './records.health';
import { StorageHealth } from './storage.health';

/** An engine takes jobs, there are records to take them from, and the storage takes the pictures. */
@Injectable()
export class DrawingReadiness extends Readiness {
  readonly always = false;

  constructor(
    private readonly pipeline: PipelineHealth,
    private readonly records: RecordsHealth,
    private readonly storage: StorageHealth,
    private readonly uploads: PictureUploads,
    private readonly disk: DiskSpace,
  ) {
    super();
  }

  async look(): Promise<HealthIndicatorResult> {
    const { refusal } = this.uploads;
    const [free, shortage] = await Promise.all([this.disk.free().catch(() => undefined), this.shortage()]);
    const storage = await this.storage.check({
      ...(free !== undefined && { free_bytes: free }),
      ...(shortage !== undefined && { reason: shortage }),
      ...refusal,
    });
    return { ...this.pipeline.check(), ...(await this.records.check()), ...storage };
  }

  /** No job is begun while pictures wait for the storage, and none accepted while its disk is short. */
  async reason(): Promise<string | undefined> {
    const reason = this.pipeline.reason() ?? (await this.records.reason());
    if (reason !== undefined) return reason;
    const why = this.uploads.refusal?.reason ?? (await this.shortage()) ?? (await this.storage.failure());
    return why && `Image generation service is not ready: ${why}`;
  }

  private shortage(): Promise<string | undefined> {
    return this.disk.assertEnough().then(
      () => undefined,
      (error: Error) => error.message,
    );
  }
}
