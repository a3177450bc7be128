import type { Job, Queue } from 'bullmq';
import type { JobLease } from '../job.queue';
import type { RedisConnection } from './redis.connection';
import { runScript } from './redis.scripts';

/** BullMQ's codes for a job that is gone, has another's lock or none, or is not being worked on. */
const GONE = [-1, -2, -3, -6];

/** Rethrows all but BullMQ's word that a job is no longer there, or no longer ours. */
export function unlessGone(error: unknown): void {
  if (!GONE.includes((error as { code?: number }).code ?? 0)) throw error;
}

export interface LeaseOrigin {
  readonly queue: Queue;
  readonly redis: RedisConnection;
  /** milliseconds */
  readonly lockDuration: number;
  readonly ended: () => void;
}

/**
 * A job of BullMQ under our lock, which is renewed until the lease is ended. While Redis cannot be reached nobody knows
 * whose the job is: it is lost only once Redis says that another has taken it. Ending it cannot fail: what Redis does not
 * hear now it hears when it is back, and a job whose lock runs out is handed out again.
 */
export class RedisJobLease implements JobLease {
  readonly id: string;
  private readonly loss = new AbortController();
  private readonly timer: NodeJS.Timeout;
  private renewing = false;

  constructor(
    private job: Job,
    private token: string,
    private readonly from: LeaseOrigin,
  ) {
    this.id = job.id!;
    this.timer = setInterval(() => void this.renew(), from.lockDuration / 3).unref();
  }

  get lost(): AbortSignal {
    return this.loss.signal;
  }

  async done(): Promise<void> {
    await this.end(() => this.job.moveToCompleted(undefined, this.token, false));
  }

  async release(delay = 0): Promise<void> {
    await this.end(async () => {
      const { queue, redis } = this.from;
      if (delay > 0) return this.job.moveToDelayed(Date.now() + delay, this.token);
      await this.job.moveToWait(this.token);
      // What wakes BullMQ's workers; moveToWait leaves it out.
      await redis.run('write', (client) => client.zadd(queue.toKey('marker'), 0, '0'));
    });
  }

  /** The lock is renewed no more. */
  lose(): void {
    this.letGo();
    this.loss.abort();
  }

  /** It came to this process once more, which never stopped working on it. */
  adopt(job: Job, token: string): void {
    this.job = job;
    this.token = token;
  }

  private letGo(): void {
    clearInterval(this.timer);
    this.from.ended();
  }

  private async end(how: () => Promise<unknown>): Promise<void> {
    this.letGo();
    try {
      await this.from.redis.within('write', how().catch(unlessGone));
    } catch (error) {
      this.from.redis.failed(error);
    }
  }

  async renew(): Promise<void> {
    if (this.renewing) return;
    this.renewing = true;
    const { queue, redis, lockDuration } = this.from;
    const keys = [`${this.id}:lock`, 'active', 'stalled', 'wait', 'prioritized'].map((key) =>
      queue.toKey(key),
    );
    try {
      const ours = await redis.run('write', (client) =>
        runScript(client, 'lockRenew', keys, [this.id, this.token, lockDuration]),
      );
      if (ours === 0) this.lose();
    } catch (error) {
      redis.failed(error);
    } finally {
      this.renewing = false;
    }
  }
}
