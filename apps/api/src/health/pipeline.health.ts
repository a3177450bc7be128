import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { PipelineService, type PipelineStatus } from '@app/pipeline';

/** Whether the pipeline takes jobs, as data. Busy is ready: the next job waits its turn. */
@Injectable()
export class PipelineHealth {
  constructor(
    private readonly indicator: HealthIndicatorService,
    private readonly pipeline: PipelineService,
  ) {}

  check(): HealthIndicatorResult {
    const status = this.pipeline.status();
    const { state, percent, reason, device, model, waiting } = status;
    const data = {
      state,
      ...(percent !== undefined && { percent }),
      ...(reason !== undefined && { reason }),
      model,
      ...(device && { device: device.name, description: device.description, gpu: device.gpu }),
      waiting,
    };
    const indicator = this.indicator.check('pipeline');
    return isReady(status) ? indicator.up(data) : indicator.down(data);
  }

  /** Why no job is taken, in a sentence; undefined when jobs are. */
  reason(): string | undefined {
    const status = this.pipeline.status();
    if (isReady(status)) return undefined;
    const { state, percent, reason } = status;
    const done = percent === undefined ? '' : ` (${Math.floor(percent)} %)`;
    return `Image generation service is not ready: ${state}${done}${reason ? `: ${reason}` : ''}`;
  }
}

const isReady = ({ state }: PipelineStatus) => state === 'ready' || state === 'busy';
