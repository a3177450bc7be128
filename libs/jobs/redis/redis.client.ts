import { Redis, type RedisOptions } from 'ioredis';
import { createIORedisClient, type IRedisClient, RedisConnection as BullConnection } from 'bullmq';
import { redisAddress } from './redis.address';

/** Replies as ioredis always gave them; its types know others. */
type Options = RedisOptions & { readonly replyMapping?: 'legacy' };

type RedisClientOptions = RedisOptions & {
  /** REDIS_URL */
  readonly url: string;
};

/** Every connection of the process, BullMQ's too: it works in the database that REDIS_URL names, or not at all. */
export class RedisClient extends Redis {
  constructor({ url, ...options }: RedisClientOptions) {
    super({ ...options, ...redisAddress(url) } as Options);
    // ioredis only reports it and would go on in database 0, where another deployment may have its jobs.
    this.on('error', (error) => {
      if (isRefusedDatabase(error)) this.disconnect(true);
    });
  }
}

export const isRefusedDatabase = (error: unknown): boolean =>
  (error as { readonly command?: { readonly name?: string } }).command?.name === 'select';

// BullMQ makes connections of its own, for each worker two.
BullConnection.clientFactory = (options): IRedisClient =>
  createIORedisClient(new RedisClient(options as RedisClientOptions));
