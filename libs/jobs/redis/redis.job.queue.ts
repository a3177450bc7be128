import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { JobQueue, modelOf, UNNAMED, type JobLease, type Rescue } from '../job.queue';
import type { JobRecord } from '../job.record';
import type { RedisConnection } from './redis.connection';
import type { QueuedRecords } from './redis.job.store';
import { reconcile } from './redis.reconciliation';
import { RedisJobLease } from './redis.job.lease';
import { BLOCK_SECONDS, RedisLine, STALLED_INTERVAL, type RedisJobQueueOptions } from './redis.line';
import { runScript } from './redis.scripts';
import { RedisTurns } from './redis.turns';

/** milliseconds */
const RECONCILE_INTERVAL = 30_000;
const RETRY_DELAY = 1_000;
/** Seconds for which several lines are waited for at a time. */
const WAKE_SECONDS = 0.5;

/** Someone who waits in take. */
interface Taker {
  readonly models: readonly string[];
  readonly settle: (lease?: JobLease) => void;
}

/** Dispatch by BullMQ: it knows ids, is told whose turn it is, and hands out again what a dead process held. */
export class RedisJobQueue extends JobQueue {
  private readonly lines = new Map<string, RedisLine>();
  private readonly turns: RedisTurns;
  private readonly takers: Taker[] = [];
  /** Waits for jobs of several lines. */
  private waker?: Redis;
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
    redis.client.on('close', this.onClose).on('ready', this.onReady);
    this.turns = new RedisTurns(redis, records.keys);
    this.line(UNNAMED);
  }

  async start(rescue: Rescue): Promise<void> {
    this.rescue = rescue;
    this.timer ??= setInterval(() => void this.reconcile(), RECONCILE_INTERVAL).unref();
    await this.reconcile();
  }

  async add(job: JobRecord): Promise<void> {
    const model = modelOf(job);
    if (model !== UNNAMED)
      await this.redis.run('write', (client) => client.sadd(this.records.keys.models, model));
    await this.line(model).add(job.id);
  }

  async remove(job: JobRecord): Promise<void> {
    await this.line(modelOf(job)).remove(job.id);
  }

  async waiting(): Promise<ReadonlyMap<string, number>> {
    const { redis, records } = this;
    const lines = await this.allLines();
    const sets = lines.flatMap(({ queue }) =>
      ['prioritized', 'delayed', 'wait'].map((name) => queue.toKey(name)),
    );
    const found = (await redis.run('write', (client) =>
      runScript(
        client,
        'jobsOldest',
        [records.keys.state('queued'), ...sets],
        [records.keys.job(''), Date.now()],
      ),
    )) as string[];
    const oldest = new Map<string, number>();
    for (const [i, { model }] of lines.entries())
      if (found[i]) oldest.set(model, (JSON.parse(found[i]) as JobRecord).createdAt);
    return oldest;
  }

  take(signal: AbortSignal, models: readonly string[] = [UNNAMED]): Promise<JobLease | undefined> {
    if (signal.aborted || this.closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (lease?: JobLease) => {
        signal.removeEventListener('abort', leave);
        resolve(lease);
      };
      const taker = { models, settle };
      const leave = () => {
        this.takers.splice(this.takers.indexOf(taker), 1);
        settle();
      };
      signal.addEventListener('abort', leave);
      this.takers.push(taker);
      this.fetching ??= this.fetch();
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const timer of [this.timer, this.stalls]) clearInterval(timer);
    this.redis.client.off('close', this.onClose).off('ready', this.onReady);
    for (const { settle } of this.takers.splice(0)) settle();
    // A job that is just being fetched is given back; without Redis there is none.
    await Promise.race([this.fetching, sleep(2_000 * BLOCK_SECONDS, undefined, { ref: false })]);
    for (const lease of this.leases) lease.lose();
    this.waker?.disconnect();
    await Promise.all([...this.lines.values()].map((line) => line.close()));
  }

  private line(model: string): RedisLine {
    const known = this.lines.get(model);
    if (known) return known;
    const line = new RedisLine(model, this.redis, this.options, this.failed);
    this.lines.set(model, line);
    return line;
  }

  /** Also of models that only others know. */
  private async allLines(): Promise<readonly RedisLine[]> {
    const { models } = this.records.keys;
    for (const model of await this.redis.run('read', (client) => client.smembers(models))) this.line(model);
    return [...this.lines.values()];
  }

  /** Hands jobs to takers, first come, first served, as long as there are any. */
  private async fetch(): Promise<void> {
    while (this.takers.length > 0) {
      try {
        const { models } = this.takers[0];
        const lease = await this.next(models);
        if (!lease) continue;
        const taker = this.takers.findIndex((one) => one.models.join() === models.join());
        if (taker >= 0) this.takers.splice(taker, 1)[0].settle(lease);
        else await lease.release();
      } catch (error) {
        this.failed(error);
        await sleep(RETRY_DELAY);
      }
    }
    // In the same turn as the last look at the takers: the next one starts another loop.
    this.fetching = undefined;
  }

  /** undefined when there was none for a while. */
  private async next(models: readonly string[]): Promise<RedisJobLease | undefined> {
    const lines = await this.turns.arrange(models.map((model) => this.line(model)));
    this.stalls ??= this.watchStalls();
    for (const line of lines) {
      const token = randomUUID();
      const job = await line.next(token, lines.length === 1);
      if (!job) continue;
      const held = [...this.leases].find(({ id }) => id === job.id);
      if (held) return void held.adopt(job, token);
      const lease: RedisJobLease = new RedisJobLease(job, token, {
        ...{ queue: line.queue, redis: this.redis, lockDuration: line.lockDuration },
        ended: () => this.leases.delete(lease),
      });
      this.leases.add(lease);
      return lease;
    }
    if (lines.length > 1) await this.wake(lines);
    return undefined;
  }

  /** As BullMQ waits for one: whoever sees its marker looks. */
  private async wake(lines: readonly RedisLine[]): Promise<void> {
    this.waker ??= this.redis.subscriber();
    await this.waker.bzpopmin(...lines.map(({ queue }) => queue.toKey('marker')), WAKE_SECONDS);
  }

  /** Not by BullMQ's own timer: after an outage every process gets the time to renew its locks first. */
  private watchStalls(): NodeJS.Timeout {
    const { stalledInterval = STALLED_INTERVAL } = this.options;
    return setInterval(() => {
      for (const line of this.lines.values()) {
        if (performance.now() < this.backAt + line.lockDuration) continue;
        line.returnStalled().catch(this.failed);
      }
    }, stalledInterval).unref();
  }

  private readonly reconcile = (): Promise<void> => {
    this.reconciling ??= (async () => {
      try {
        const lines = await this.allLines();
        await reconcile(this.redis, lines, this.records, (job) => this.add(job), this.rescue!);
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
