import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Drain } from '@app/lifecycle';
import type { WorkerCapabilities, WorkerModel } from '../capabilities/fleet.capabilities';
import { Capabilities } from '../capabilities/capabilities';
import { PipelineService } from '@app/pipeline';
import { RedisWorkerPresence } from '../redis/redis.worker.presence';

/** LoRAs come and go in LORA_DIR; milliseconds between announcements. */
const INTERVAL = 30_000;

/** Tells the API processes what this worker can draw, from when it can; takes it back when its engines have failed. */
@Injectable()
export class WorkerAnnouncer implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Worker');
  private timer?: NodeJS.Timeout;
  private announced = false;
  private withdrawn?: Promise<void>;
  /** The models that were announced last. */
  private told = '';

  constructor(
    private readonly presence: RedisWorkerPresence<WorkerCapabilities>,
    private readonly pipeline: PipelineService,
    private readonly capabilities: Capabilities,
    drain: Drain,
  ) {
    drain.draining.addEventListener('abort', () => void this.withdraw());
  }

  onApplicationBootstrap(): void {
    this.pipeline.onChange(() => void this.follow());
    void this.follow();
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.withdraw();
  }

  /** An engine that died and is started again is no news: what this worker has stays the same. */
  private async follow(): Promise<void> {
    if (this.withdrawn) return;
    const { draws } = this.pipeline;
    if (draws && !this.announced) {
      this.announced = true;
      this.timer = setInterval(() => void this.announce(), INTERVAL).unref();
      await this.announce();
    } else if (this.announced && this.pipeline.status().state === 'failed') {
      this.announced = false;
      clearInterval(this.timer);
      await this.presence.withdraw();
    } else if (this.announced && this.told !== this.offer) {
      await this.announce();
    }
  }

  private get offer(): string {
    return [this.pipeline.loaded.name, ...this.here].join('\n');
  }

  private withdraw(): Promise<void> {
    clearInterval(this.timer);
    this.withdrawn ??= this.presence.close();
    return this.withdrawn;
  }

  private async announce(): Promise<void> {
    try {
      this.told = this.offer;
      const { models, loaded } = this.pipeline;
      const { engines, mostPixels: most } = this.capabilities;
      const mostPixels = Number.isFinite(most) ? most : undefined;
      const usual = await about(this.capabilities, models.get()!.name);
      const several = models.several && {
        models: await Promise.all(this.here.map((model) => about(this.capabilities.of(model), model))),
        loaded: loaded.name,
      };
      if (this.announced && !this.withdrawn)
        await this.presence.announce({ ...usual, engines, mostPixels, ...several });
    } catch (error) {
      this.logger.warn({ err: error }, 'This worker could not announce itself');
    }
  }

  /** Models that are to be had. */
  private get here(): readonly string[] {
    const { models, loaded } = this.pipeline;
    return models.all.filter((model) => model === loaded || model.isHere).map(({ name }) => name);
  }
}

async function about(there: Capabilities, model: string): Promise<WorkerModel> {
  const { hasIpAdapter: ipAdapter, hasPhotoMaker: photoMaker, controlNets } = there;
  const loras = (await there.loras()).map(({ name, tensors, sha256, about }) => ({
    ...{ name, tensors, sha256, about },
  }));
  const upscalers = (await there.upscalers()).map(({ name, factor, sha256 }) => ({ name, factor, sha256 }));
  const embeddings = there.embeddings.map(({ name, vectors, sha256 }) => ({ name, vectors, sha256 }));
  return { model, ipAdapter, photoMaker, loras, upscalers, embeddings, controlNets };
}
