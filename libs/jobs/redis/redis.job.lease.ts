import type { Job, Queue, Worker } from 'bullmq';
import type { JobLease } from '../job.queue';
import type { RedisConnection } from './redis.connection';

/** BullMQ's codes for a job that is gone, has another's lock or none, or is not being worked on. */
const GONE = [-1, -2, -3, -6];

/** Rethrows all but BullMQ's word that a job is no longer there, or no longer ours. */
export function unlessGone(error: unknown): void {
  if (!GONE.includes((error as { code?: number }).code ?? 0)) throw error;
}

export interface LeaseOrigin {
  readonly queue: Queue;
  readonly worker: Worker;
  readonly redis: RedisConnection;
  /** milliseconds */
  readonly lockDuration: number;
  /** Tells the job its priority of today: the base may have moved since it was taken. */
  readonly renewPriority: () => Promise<void>;
  readonly ended: () => void;
}

/**
 * A job of BullMQ under our lock, which is renewed until the lease is ended. Ending it cannot fail: what Redis does
 * not hear now it hears when it is back, and a job whose lock runs out is handed out again.
 */
export class RedisJobLease implements JobLease {
  readonly id: string;
  private readonly loss = new AbortController();
  private readonly timer: NodeJS.Timeout;
  /** By when the lock runs out. */
  private lockedUntil: number;
  private renewing = false;

  constructor(
    private readonly job: Job,
    private readonly token: string,
    private readonly from: LeaseOrigin,
  ) {
    this.id = job.id!;
    this.lockedUntil = performance.now() + from.lockDuration;
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
      const { queue, redis, renewPriority } = this.from;
      await renewPriority();
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

  private async renew(): Promise<void> {
    // While Redis is away nobody says that the lock has run out.
    if (performance.now() >= this.lockedUntil) return this.lose();
    if (this.renewing) return;
    this.renewing = true;
    try {
      const askedAt = performance.now();
      const refused = await this.from.worker.extendJobLocks([this.id], [this.token], this.from.lockDuration);
      if (refused.length > 0) this.lose();
      else this.lockedUntil = askedAt + this.from.lockDuration;
    } catch (error) {
      this.from.redis.failed(error);
    } finally {
      this.renewing = false;
    }
  }
}
