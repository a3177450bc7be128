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

/** Tells the API processes what this worker can draw, from when it can. */
@Injectable()
export class WorkerAnnouncer implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Worker');
  private timer?: NodeJS.Timeout;
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
    void this.pipeline.whenReady().then(() => {
      if (this.withdrawn) return;
      this.timer = setInterval(() => void this.announce(), INTERVAL).unref();
      return this.announce();
    });
  }

  beforeApplicationShutdown(): Promise<void> {
    return this.withdraw();
  }

  private withdraw(): Promise<void> {
    clearInterval(this.timer);
    this.withdrawn ??= this.presence.close();
    return this.withdrawn;
  }

  private async announce(): Promise<void> {
    try {
      const { engines, hasIpAdapter: ipAdapter, mostPixels: most } = this.capabilities;
      const mostPixels = Number.isFinite(most) ? most : undefined;
      const loras = (await this.capabilities.loras()).map(({ name, tensors, sha256 }) => ({
        name,
        tensors,
        sha256,
      }));
      const { model } = this.pipeline.status();
      if (!this.withdrawn) await this.presence.announce({ model, ipAdapter, engines, loras, mostPixels });
    } catch (error) {
      this.logger.warn({ err: error }, 'This worker could not announce itself');
    }
  }
}
