import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Drain } from '@app/lifecycle';
import type { WorkerCapabilities } from '../capabilities/fleet.capabilities';
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
    }
  }

  private withdraw(): Promise<void> {
    clearInterval(this.timer);
    this.withdrawn ??= this.presence.close();
    return this.withdrawn;
  }

  private async announce(): Promise<void> {
    try {
      const { engines, hasIpAdapter: ipAdapter, hasPhotoMaker: photoMaker, controlNets } = this.capabilities;
      const { mostPixels: most } = this.capabilities;
      const mostPixels = Number.isFinite(most) ? most : undefined;
      const loras = (await this.capabilities.loras()).map(({ name, tensors, sha256, about }) => ({
        ...{ name, tensors, sha256, about },
      }));
      const upscalers = (await this.capabilities.upscalers()).map(({ name, factor, sha256 }) => ({
        ...{ name, factor, sha256 },
      }));
      const embeddings = this.capabilities.embeddings.map(({ name, vectors, sha256 }) => ({
        ...{ name, vectors, sha256 },
      }));
      const { model } = this.pipeline.status();
      if (this.announced && !this.withdrawn)
        await this.presence.announce({
          ...{ model, ipAdapter, photoMaker, engines, mostPixels, loras, upscalers, embeddings, controlNets },
        });
    } catch (error) {
      this.logger.warn({ err: error }, 'This worker could not announce itself');
    }
  }
}
