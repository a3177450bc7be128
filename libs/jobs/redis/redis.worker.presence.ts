import { DEFAULT_PREFIX, type RedisConnection } from './redis.connection';

/** milliseconds */
const TTL = 15_000;
const INTERVAL = 5_000;

/** Which workers are there, and what each can do: told every few seconds, forgotten when one falls silent. */
export class RedisWorkerPresence<Offer extends object> {
  private offer?: Offer;
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly redis: RedisConnection,
    /** Of this process, unlike any other's. */
    private readonly id: string,
    private readonly prefix = DEFAULT_PREFIX,
  ) {}

  /** Replaces what was announced before. Never rejects: it is told again when Redis is back. */
  async announce(offer: Offer): Promise<void> {
    this.offer = offer;
    this.timer ??= setInterval(() => void this.tell(), INTERVAL).unref();
    await this.tell();
  }

  async withdraw(): Promise<void> {
    clearInterval(this.timer);
    this.timer = undefined;
    this.offer = undefined;
    try {
      await this.redis.run('write', (client) => client.del(this.worker(this.id)));
    } catch (error) {
      this.redis.failed(error);
    }
  }

  async list(): Promise<Offer[]> {
    return this.redis.run('read', async (client) => {
      const ids = await client.smembers(this.workers);
      if (ids.length === 0) return [];
      const capabilities = await client.mget(ids.map((id) => this.worker(id)));
      const silent = ids.filter((_, index) => capabilities[index] === null);
      if (silent.length > 0) await client.srem(this.workers, silent);
      return capabilities.filter((offer) => offer !== null).map((offer) => JSON.parse(offer) as Offer);
    });
  }

  async close(): Promise<void> {
    await this.withdraw();
  }

  private async tell(): Promise<void> {
    const { id, offer } = this;
    try {
      await this.redis.run('write', (client) =>
        Promise.all([
          client.set(this.worker(id), JSON.stringify(offer), 'PX', TTL),
          client.sadd(this.workers, id),
        ]),
      );
    } catch (error) {
      this.redis.failed(error);
    }
  }

  private worker(id: string): string {
    return `${this.prefix}worker:${id}`;
  }

  /** Ids that were announced; some may have fallen silent. */
  private get workers(): string {
    return `${this.prefix}workers`;
  }
}
