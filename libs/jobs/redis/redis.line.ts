import { Queue, Worker, type Job } from 'bullmq';
import { UNNAMED } from '../job.queue';
import { DEFAULT_PREFIX, type RedisConnection } from './redis.connection';

/** A job whose process died is looked for this often, twice, after its lock ran out. Milliseconds, like all here. */
const LOCK_DURATION = 10_000;
export const STALLED_INTERVAL = 5_000;
/** Seconds that BullMQ waits for a job at a time; a job that was given back is seen no later. */
export const BLOCK_SECONDS = 1;

/** Of jobs that name no model: the one that versions know which have but one. */
const NAME = 'queue';

export interface RedisJobQueueOptions {
  readonly prefix?: string;
  /** Milliseconds that a job stays a process's own without a word from it. */
  readonly lockDuration?: number;
  /** Milliseconds between two looks for jobs whose lock ran out; the second look hands them out again. */
  readonly stalledInterval?: number;
}

/** The jobs that name one model, or none, in a queue of BullMQ. */
export class RedisLine {
  readonly queue: Queue;
  readonly lockDuration: number;
  /** Made when it is first needed: a process that only adds jobs needs no connections for it. */
  private worker?: Worker;

  constructor(
    readonly model: string,
    private readonly redis: RedisConnection,
    private readonly options: RedisJobQueueOptions,
    private readonly failed: (error: unknown) => void,
  ) {
    this.lockDuration = options.lockDuration ?? LOCK_DURATION;
    this.queue = new Queue(this.name, {
      ...this.bull,
      // News of BullMQ that nobody reads.
      streams: { events: { maxLen: 100 } },
    });
    this.queue.on('error', failed);
  }

  async add(id: string): Promise<void> {
    // With a priority BullMQ keeps it where it can be put in order.
    const options = { jobId: id, priority: 1, removeOnComplete: true, removeOnFail: true };
    await this.redis.within('write', this.queue.add('picture', {}, options));
  }

  async remove(id: string): Promise<void> {
    await this.redis.within('write', this.queue.remove(id));
  }

  /** The first job; undefined when there is none, with `block` for a while. */
  next(token: string, block: boolean): Promise<Job | undefined> {
    return this.open().getNextJob(token, { block });
  }

  /** Hands out again what dead processes held. */
  async returnStalled(): Promise<void> {
    const checker = this.open() as unknown as { moveStalledJobsToWait(): Promise<void> };
    await checker.moveStalledJobsToWait();
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.worker?.close(true), this.queue.close()]);
  }

  private open(): Worker {
    if (this.worker) return this.worker;
    const { lockDuration } = this;
    const { stalledInterval = STALLED_INTERVAL } = this.options;
    this.worker = new Worker(this.name, undefined, {
      ...this.bull,
      ...{ autorun: false, drainDelay: BLOCK_SECONDS },
      ...{ lockDuration, stalledInterval },
      // The records count the attempts.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
    });
    this.worker.on('error', this.failed);
    return this.worker;
  }

  /** BullMQ's own keys are parted by colons. */
  private get name(): string {
    return this.model === UNNAMED ? NAME : `${NAME}-${encodeURIComponent(this.model)}`;
  }

  private get bull() {
    const { prefix = DEFAULT_PREFIX } = this.options;
    // BullMQ puts a colon behind it.
    return { connection: this.redis.patient, prefix: prefix.replace(/:$/, '') };
  }
}
