import { DEFAULT_PREFIX, type RedisConnection } from './redis.connection';

/** milliseconds */
const TTL = 15_000;
const INTERVAL = 5_000;

/** Which workers are there, and what each can do: published every few seconds, forgotten when one falls silent. */
export class RedisWorkerPresence<Capabilities extends object> {
  private capabilities?: Capabilities;
  private timer?: NodeJS.Timeout;

  constructor(
    private readonly redis: RedisConnection,
    /** Of this process, unlike any other's. */
    private readonly id: string,
    private readonly prefix = DEFAULT_PREFIX,
  ) {}

  /** Replaces what was announced before. Never rejects: it is published again when Redis is back. */
  async announce(capabilities: Capabilities): Promise<void> {
    this.capabilities = capabilities;
    this.timer ??= setInterval(() => void this.publish(), INTERVAL).unref();
    await this.publish();
  }

  async withdraw(): Promise<void> {
    clearInterval(this.timer);
    this.timer = undefined;
    this.capabilities = undefined;
    try {
      await this.redis.run('write', (client) => client.del(this.worker(this.id)));
    } catch (error) {
      this.redis.failed(error);
    }
  }

  async list(): Promise<Capabilities[]> {
    return this.redis.run('read', async (client) => {
      const ids = await client.smembers(this.workers);
      if (ids.length === 0) return [];
      const answers = await client.mget(ids.map((id) => this.worker(id)));
      const silent = ids.filter((_, index) => answers[index] === null);
      if (silent.length > 0) await client.srem(this.workers, silent);
      return answers.filter((json) => json !== null).map((json) => JSON.parse(json) as Capabilities);
    });
  }

  async close(): Promise<void> {
    await this.withdraw();
  }

  private async publish(): Promise<void> {
    const { id, capabilities } = this;
    try {
      await this.redis.run('write', (client) =>
        Promise.all([
          client.set(this.worker(id), JSON.stringify(capabilities), 'PX', TTL),
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
