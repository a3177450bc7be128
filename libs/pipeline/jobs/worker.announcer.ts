import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import type { WorkerOffer } from '../fleet.offers';
import { Offers } from '../offers';
import { PipelineService } from '../pipeline.service';
import { RedisWorkerPresence } from './redis';

/** LoRAs come and go in LORA_DIR; milliseconds between looks. */
const INTERVAL = 30_000;

/** Tells the API processes what this worker can draw, from when it can. */
@Injectable()
export class WorkerAnnouncer implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Worker');
  private timer?: NodeJS.Timeout;
  private stopped = false;

  constructor(
    private readonly presence: RedisWorkerPresence<WorkerOffer>,
    private readonly pipeline: PipelineService,
    private readonly offers: Offers,
  ) {}

  onApplicationBootstrap(): void {
    void this.pipeline.whenReady().then(() => {
      if (this.stopped) return;
      this.timer = setInterval(() => void this.announce(), INTERVAL).unref();
      return this.announce();
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    clearInterval(this.timer);
    await this.presence.close();
  }

  private async announce(): Promise<void> {
    try {
      const { engines, hasIpAdapter: ipAdapter } = this.offers;
      const loras = (await this.offers.loras()).map(({ name, tensors, sha256 }) => ({
        name,
        tensors,
        sha256,
      }));
      const { model } = this.pipeline.status();
      if (!this.stopped) await this.presence.announce({ model, ipAdapter, engines, loras });
    } catch (error) {
      this.logger.warn({ err: error }, 'This worker could not announce itself');
    }
  }
}
