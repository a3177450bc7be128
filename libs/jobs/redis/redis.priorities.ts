import { PRIORITY_LIMIT, type Queue } from 'bullmq';
import type { RedisConnection } from './redis.connection';
import type { Waiting } from './redis.job.index';
import type { QueuedRecords } from './redis.job.store';
import { unlessGone } from './redis.job.lease';

/** How far the virtual time may leave the base behind: half of BullMQ's priorities, so as many stay for jobs ahead. */
export const PRIORITY_THRESHOLD = 2 ** 20;
/** How long one process may be busy giving new priorities before another may begin, in milliseconds. */
const LOCK_TTL = 60_000;
/** Priorities that are changed at a time. */
const CHUNK = 200;

/**
 * BullMQ orders by a whole number up to PRIORITY_LIMIT, and jobs of one priority by their arrival; the fair order goes
 * by `place.start`, which grows for ever. So a priority counts from a base, and the base follows the virtual time.
 * Jobs that start more than PRIORITY_LIMIT after the base share the last priority until it has moved.
 */
export class RedisPriorities {
  private readonly base: string;
  /** The base that the priorities of all waiting jobs count from. */
  private readonly applied: string;
  private readonly lock: string;

  constructor(
    private readonly redis: RedisConnection,
    private readonly queue: Queue,
    private readonly records: QueuedRecords,
    prefix: string,
    private readonly threshold: number,
  ) {
    this.base = `${prefix}priority:base`;
    this.applied = `${prefix}priority:applied`;
    this.lock = `${prefix}priority:lock`;
  }

  async add({ id, start }: Waiting): Promise<void> {
    const [base, virtualTime] = await Promise.all([this.number(this.base), this.records.virtualTime()]);
    const options = {
      jobId: id,
      priority: priorityOf(start, base),
      removeOnComplete: true,
      removeOnFail: true,
    };
    await this.redis.within('write', this.queue.add('picture', {}, options));
    // The base may have moved meanwhile, and whoever moved it has not seen this job.
    if ((await this.number(this.base)) !== base) await this.renew([{ id, start }]);
    // In the background: nobody's request waits for the jobs of others.
    if (virtualTime - base > this.threshold) this.follow().catch((error) => this.redis.failed(error));
  }

  /** Gives jobs the priority that they have by now. Fine when BullMQ does not know them. */
  async renew(jobs: readonly Waiting[]): Promise<void> {
    const base = await this.number(this.base);
    const backend = this.queue.getBackend();
    for (let index = 0; index < jobs.length; index += CHUNK) {
      // Sent in order, so that jobs of one priority keep theirs.
      const chunk = jobs.slice(index, index + CHUNK);
      const changes = chunk.map(({ id, start }) =>
        backend.changePriority(id, priorityOf(start, base)).catch(unlessGone),
      );
      await this.redis.within('write', Promise.all(changes));
    }
  }

  /** Moves the base when the virtual time has gone far, or ends what a process that died began. One process at a time. */
  async follow(): Promise<void> {
    const { redis, records } = this;
    const free = await redis.run('write', (client) => client.set(this.lock, '', 'PX', LOCK_TTL, 'NX'));
    if (!free) return;
    try {
      const base = await this.moveBase();
      if ((await this.number(this.applied)) === base) return;
      await this.renew(await records.waiting());
      await redis.run('write', (client) => client.set(this.applied, base));
    } finally {
      await redis.run('write', (client) => client.del(this.lock));
    }
  }

  private async moveBase(): Promise<number> {
    const [base, virtualTime] = await Promise.all([this.number(this.base), this.records.virtualTime()]);
    if (virtualTime - base <= this.threshold) return base;
    const waiting = await this.records.waiting();
    // A job that was given back may start before the virtual time.
    const moved = Math.max(base, Math.min(virtualTime, waiting[0]?.start ?? virtualTime));
    await this.redis.run('write', (client) => client.set(this.base, moved));
    return moved;
  }

  private async number(key: string): Promise<number> {
    return Number(await this.redis.run('read', (client) => client.get(key)));
  }
}

/** 0 would go before all others. */
const priorityOf = (start: number, base: number): number =>
  Math.min(Math.max(1 + start - base, 1), PRIORITY_LIMIT);
