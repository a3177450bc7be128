import type { Queue } from 'bullmq';
import { fairOrder } from '../fair.share';
import type { RedisConnection } from './redis.connection';
import type { RedisKeys } from './redis.keys';
import { readLines } from './redis.lines';
import { runScript } from './redis.scripts';

/** Jobs that are put in order at a time: as many may be taken at once, by all processes together. */
const FRONT = 16;
/** Jobs of an account that are looked at: the front, and those that processes have fetched ahead. */
const LOOKED_AT = 64;
/** The same of all accounts. */
const MOST_ARRANGED = 256;

/**
 * BullMQ hands out what has the lowest score, and whose turn it is follows from what waits: so before a job is taken,
 * the next ones are put before all others.
 */
export class RedisTurns {
  constructor(
    private readonly redis: RedisConnection,
    private readonly queue: Queue,
    private readonly keys: RedisKeys,
  ) {}

  async add(id: string): Promise<void> {
    // With a priority BullMQ keeps it where it can be put in order.
    const options = { jobId: id, priority: 1, removeOnComplete: true, removeOnFail: true };
    await this.redis.within('write', this.queue.add('picture', {}, options));
  }

  async arrange(): Promise<void> {
    const { redis, keys } = this;
    const { lines, virtualTime } = await redis.run('read', (client) => readLines(client, keys, LOOKED_AT));
    const jobs = fairOrder(lines, virtualTime).slice(0, MOST_ARRANGED);
    if (jobs.length === 0) return;
    await redis.run('write', (client) =>
      runScript(
        client,
        'jobsArrange',
        [
          ...['prioritized', 'delayed', 'marker', ''].map((name) => this.queue.toKey(name)),
          keys.state('queued'),
        ],
        [
          FRONT,
          Date.now(),
          ...jobs.flatMap(({ id, account, member }) => [id, keys.waiting(account), member]),
        ],
      ),
    );
  }
}
