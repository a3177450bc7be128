import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { JobQueue, type JobLease, type Rescue } from '../job.queue';
import type { JobRecord } from '../job.record';
import { DEFAULT_PREFIX, type RedisConnection } from './redis.connection';
import type { QueuedRecords } from './redis.job.store';
import { reconcile } from './redis.reconciliation';
import { RedisJobLease } from './redis.job.lease';
import { RedisTurns } from './redis.turns';

/** A job whose process died is looked for this often, twice, after its lock ran out. Milliseconds, like all here. */
const LOCK_DURATION = 10_000;
const STALLED_INTERVAL = 5_000;
const RECONCILE_INTERVAL = 30_000;
/** Seconds that BullMQ waits for a job at a time; a job that was given back is seen no later. */
const BLOCK_SECONDS = 1;
const RETRY_DELAY = 1_000;

const NAME = 'queue';

export interface RedisJobQueueOptions {
  readonly prefix?: string;
  /** Milliseconds that a job stays a process's own without a word from it. */
  readonly lockDuration?: number;
  /** Milliseconds between two looks for jobs whose lock ran out; the second look hands them out again. */
  readonly stalledInterval?: number;
}

/** Dispatch by BullMQ: it knows ids, is told whose turn it is, and hands out again what a dead process held. */
export class RedisJobQueue extends JobQueue {
  private readonly queue: Queue;
  private readonly turns: RedisTurns;
  /** Made by the first `take`: a process that only adds jobs needs no connections for it. */
  private worker?: Worker;
  private readonly waiters: ((lease?: JobLease) => void)[] = [];
  private fetching?: Promise<void>;
  private readonly leases = new Set<RedisJobLease>();
  private timer?: NodeJS.Timeout;
  private stalls?: NodeJS.Timeout;
  /** When Redis was back the last time; infinite while it is away. */
  private backAt = -Infinity;
  private rescue?: Rescue;
  private reconciling?: Promise<void>;
  private closed = false;

  constructor(
    private readonly redis: RedisConnection,
    private readonly records: QueuedRecords,
    private readonly options: RedisJobQueueOptions = {},
  ) {
    super();
    this.queue = new Queue(NAME, {
      ...this.bull,
      // News of BullMQ that nobody reads.
      streams: { events: { maxLen: 100 } },
    });
    this.queue.on('error', this.failed);
    redis.client.on('close', this.onClose).on('ready', this.onReady);
    this.turns = new RedisTurns(redis, this.queue, records.keys);
  }

  async start(rescue: Rescue): Promise<void> {
    this.rescue = rescue;
    this.timer ??= setInterval(() => void this.reconcile(), RECONCILE_INTERVAL).unref();
    await this.reconcile();
  }

  async add({ id }: JobRecord): Promise<void> {
    await this.turns.add(id);
  }

  async remove(id: string): Promise<void> {
    await this.redis.within('write', this.queue.remove(id));
  }

  take(signal: AbortSignal): Promise<JobLease | undefined> {
    if (signal.aborted || this.closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (lease?: JobLease) => {
        signal.removeEventListener('abort', leave);
        resolve(lease);
      };
      const leave = () => {
        this.waiters.splice(this.waiters.indexOf(settle), 1);
        settle();
      };
      signal.addEventListener('abort', leave);
      this.waiters.push(settle);
      this.fetching ??= this.fetch();
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const timer of [this.timer, this.stalls]) clearInterval(timer);
    this.redis.client.off('close', this.onClose).off('ready', this.onReady);
    for (const settle of this.waiters.splice(0)) settle();
    // A job that is just being fetched is given back; without Redis there is none.
    await Promise.race([this.fetching, sleep(2_000 * BLOCK_SECONDS, undefined, { ref: false })]);
    for (const lease of this.leases) lease.lose();
    await Promise.allSettled([this.worker?.close(true), this.queue.close()]);
  }

  private get bull() {
    const { prefix = DEFAULT_PREFIX } = this.options;
    // BullMQ puts a colon behind it.
    return { connection: this.redis.patient, prefix: prefix.replace(/:$/, '') };
  }

  /** Hands jobs to waiters, first come, first served, as long as there are any. */
  private async fetch(): Promise<void> {
    while (this.waiters.length > 0) {
      try {
        const lease = await this.next();
        if (!lease) continue;
        const settle = this.waiters.shift();
        if (settle) settle(lease);
        else await lease.release();
      } catch (error) {
        this.failed(error);
        await sleep(RETRY_DELAY);
      }
    }
    // In the same turn as the last look at the waiters: the next one starts another loop.
    this.fetching = undefined;
  }

  /** undefined when there was none for a while. */
  private async next(): Promise<RedisJobLease | undefined> {
    const { lockDuration } = this;
    const worker = (this.worker ??= this.startWorker());
    const token = randomUUID();
    await this.turns.arrange();
    const job = await worker.getNextJob(token);
    if (!job) return undefined;
    const held = [...this.leases].find(({ id }) => id === job.id);
    if (held) return void held.adopt(job, token);
    const lease: RedisJobLease = new RedisJobLease(job, token, {
      ...{ queue: this.queue, redis: this.redis, lockDuration },
      ended: () => this.leases.delete(lease),
    });
    this.leases.add(lease);
    return lease;
  }

  private get lockDuration(): number {
    return this.options.lockDuration ?? LOCK_DURATION;
  }

  private startWorker(): Worker {
    const { lockDuration } = this;
    const { stalledInterval = STALLED_INTERVAL } = this.options;
    const worker = new Worker(NAME, undefined, {
      ...this.bull,
      ...{ autorun: false, drainDelay: BLOCK_SECONDS },
      ...{ lockDuration, stalledInterval },
      // The records count the attempts.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    });
    worker.on('error', this.failed);
    // Not by its own timer: after an outage every process gets the time to renew its locks first.
    const checker = worker as unknown as { moveStalledJobsToWait(): Promise<void> };
    this.stalls = setInterval(() => {
      if (performance.now() < this.backAt + lockDuration) return;
      checker.moveStalledJobsToWait().catch(this.failed);
    }, stalledInterval).unref();
    return worker;
  }

  private readonly reconcile = (): Promise<void> => {
    this.reconciling ??= (async () => {
      try {
        await reconcile(this.redis, this.queue, this.records, this.turns, this.rescue!);
      } catch (error) {
        this.failed(error);
      } finally {
        this.reconciling = undefined;
      }
    })();
    return this.reconciling;
  };

  private readonly onClose = (): void => {
    this.backAt = Infinity;
  };

  private readonly onReady = (): void => {
    if (this.backAt === Infinity) this.backAt = performance.now();
    for (const lease of this.leases) void lease.renew();
    // Redis may have come back with older data.
    if (this.rescue) void this.reconcile();
  };

  private readonly failed = (error: unknown): void => {
    if (!this.closed) this.redis.failed(error);
  };
}
