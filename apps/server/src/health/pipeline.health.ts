import { Injectable } from '@nestjs/common';
import { HealthIndicatorService, type HealthIndicatorResult } from '@nestjs/terminus';
import { PipelineService, type EngineState, type EngineStatus, type PipelineStatus } from '@app/pipeline';

/** Whether the pipeline takes jobs, as data, and the same of each engine. Busy is ready: the next job waits its turn. */
@Injectable()
export class PipelineHealth {
  constructor(
    private readonly indicator: HealthIndicatorService,
    private readonly pipeline: PipelineService,
  ) {}

  check(): HealthIndicatorResult {
    const status = this.pipeline.status();
    const data = {
      ...describe(status),
      model: status.model,
      engines: status.engines.map((engine) => ({
        id: engine.id,
        ...describe(engine),
        ...describeEngine(engine),
      })),
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

/** What is unknown is left out. */
const describe = ({ state, percent, reason, device }: EngineState) => ({
  state,
  ...(percent !== undefined && { percent }),
  ...(reason !== undefined && { reason }),
  ...(device && { device: device.name, description: device.description, gpu: device.gpu }),
});

const describeEngine = ({ facts, settings, plan }: EngineStatus) => ({
  ...(plan !== undefined && { memory_plan: plan }),
  ...(facts && {
    engine: { source: facts.version.source, commit: facts.version.commit, version: facts.version.version },
    devices: facts.devices.map(({ name }) => name),
    back_ends: facts.backEnds.map(({ leastCapability, ...backEnd }) => ({
      ...backEnd,
      ...(leastCapability !== undefined && { least_capability: leastCapability }),
    })),
  }),
  ...(settings && {
    flash_attention: settings.flashAttention,
    vae_direct_convolution: settings.vaeDirectConvolution,
    unet_direct_convolution: settings.unetDirectConvolution,
  }),
});

/** While another model is loaded, too: jobs are taken, and wait no longer than for any other picture. */
const isReady = ({ state, switching }: PipelineStatus) =>
  switching === true || state === 'ready' || state === 'busy';
