import { Injectable, Logger, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { RedisConnection } from './redis.connection';

/** Says at the first connection under which settings Redis could lose jobs. */
@Injectable()
export class RedisWatch implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger('Redis');

  constructor(private readonly redis: RedisConnection) {}

  onApplicationBootstrap(): void {
    const { client } = this.redis;
    if (client.status === 'ready') void this.warn();
    else client.once('ready', () => void this.warn());
  }

  async onApplicationShutdown(): Promise<void> {
    await this.redis.close();
  }

  private async warn(): Promise<void> {
    const warnings = await this.redis.warnings().catch(() => []);
    for (const warning of warnings) this.logger.warn(warning);
  }
}
