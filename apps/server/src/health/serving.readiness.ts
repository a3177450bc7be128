import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { FleetCapabilities } from '@app/jobs';
import { Readiness } from './readiness';
import { RecordsHealth } from './records.health';
import { StorageHealth } from './storage.health';

/**
 * Always ready: without Redis or workers it still serves pictures and answers with the reason, and taking it out of
 * the balancer would help nobody.
 */
@Injectable()
export class ServingReadiness extends Readiness {
  readonly always = true;

  constructor(
    private readonly indicator: HealthIndicatorService,
    private readonly records: RecordsHealth,
    private readonly fleet: FleetCapabilities,
    private readonly storage: StorageHealth,
  ) {
    super();
  }

  async look(): Promise<HealthIndicatorResult> {
    const { workers } = this.fleet;
    const presence = this.indicator.check('workers');
    const data = {
      count: workers.length,
      workers: workers.map(({ model, engines }) => ({ model, engines })),
    };
    return {
      ...(await this.records.check()),
      ...(await this.storage.check()),
      ...(workers.length > 0 ? presence.up(data) : presence.down(data)),
    };
  }

  async reason(): Promise<string | undefined> {
    const reason = await this.records.reason();
    if (reason !== undefined || this.fleet.workers.length > 0) return reason;
    return 'Image generation service is not ready: there is no worker';
  }
}
