import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { Storage } from '@app/storage';
import { Drain } from '@app/lifecycle';
import { inputsOf, keysOf, type PictureResult } from './picture.job';
import type { Progress } from '@app/pipeline';
import { Estimates, type Estimate } from './estimates';
import { JobEvents } from './job.events';
import type { JobNews } from './job.news';
import { JobQueue } from './job.queue';
import { isFinished, type JobDraft, type JobError, type JobRecord } from './job.record';
import { JobStore, type Backlog, type JobPage, type JobQuery } from './job.store';
import * as to from './job.transitions';
import { callerFull, mismatch, queueFull, resultGone, userDeleted } from './refusals';
import { untilFinished } from './until.finished';
import * as outbox from './webhook.outbox';

/** A record as it is now; undefined: nothing was changed. */
type Written = JobRecord | undefined;

/** The jobs' rules: records, dispatch and news change together here and nowhere else. */
@Injectable()
export class Jobs implements OnApplicationShutdown {
  private readonly logger = new Logger('Jobs');
  readonly news = new EventEmitter<JobNews>();
  /** What waits, by the class of its caller. */
  readonly backlog = (): Promise<Backlog> => this.store.backlog();
  readonly count = (): ReturnType<JobStore['count']> => this.store.count();

  constructor(
    private readonly config: Config,
    private readonly store: JobStore,
    private readonly queue: JobQueue,
    private readonly events: JobEvents,
    private readonly storage: Storage,
    private readonly estimates: Estimates,
    private readonly drain: Drain,
  ) {}

  async onApplicationShutdown(): Promise<void> {
    await this.queue.close();
    await this.events.close();
  }

  /**
   * Accepts a job; when this resolves it survives whatever comes. `replayed`: the idempotency key has its job already.
   * Throws `idempotency_mismatch`, `result_gone`, `cancelled` (the user was deleted), `queue_full`, `caller_queue_full`, `storage_unavailable`, `draining`.
   */
  async submit(draft: JobDraft, bounded: boolean): Promise<{ job: JobRecord; replayed: boolean }> {
    this.drain.assertAccepting();
    const { QUEUE_LIMIT: limit, QUEUE_LIMIT_PER_USER: most } = this.config;
    const acceptance = await this.store.accept(draft, { limit, limitPerCaller: bounded ? most : undefined });
    switch (acceptance.outcome) {
      case 'mismatch':
        throw mismatch();
      case 'forgotten':
        throw resultGone();
      case 'user_deleted':
        throw userDeleted(draft.picture.userId!);
      case 'queue_full':
        throw queueFull(limit, await this.estimates.untilPlace());
      case 'caller_full':
        throw callerFull(most, await this.estimates.untilPlace());
      case 'replayed':
        return { job: acceptance.job, replayed: true };
      case 'accepted': {
        const { job } = acceptance;
        this.news.emit('change', job);
        await this.events.publish(job.id, { type: 'state', state: 'queued', attempts: 0 });
        // The record is written, so the job is not lost: the queue adds what it misses by itself.
        await this.queue.add(job).catch((error: unknown) => this.logger.warn({ err: error, job: job.id }));
        return { job, replayed: false };
      }
    }
  }

  /** Refuses early what `submit` would: before pictures are fetched and copied. */
  async assertRoom(account: string): Promise<void> {
    const { QUEUE_LIMIT: limit } = this.config;
    if (!(await this.store.hasRoom(account, limit)))
      throw queueFull(limit, await this.estimates.untilPlace());
  }

  /** The job of an idempotency key; throws `idempotency_mismatch` when it was another request, `result_gone`. */
  async findByKey(caller: string, key: string, fingerprint: string): Promise<JobRecord | undefined> {
    const holder = await this.store.findByKey(caller, key);
    if (!holder) return undefined;
    if (holder.fingerprint !== fingerprint) throw mismatch();
    if (!holder.job) throw resultGone();
    return holder.job;
  }

  /** With a `userId`, a job of anybody else is as good as none. Throws `job_not_found`. */
  async get(id: string, userId?: string): Promise<JobRecord> {
    const job = await this.store.find(id);
    if (job && (userId === undefined || job.picture.userId === userId)) return job;
    throw new ServiceError('job_not_found', `There is no job ${id.slice(0, 100)}, or it was forgotten`);
  }

  /** For those to whom a job that is gone is an answer. */
  find(id: string): Promise<JobRecord | undefined> {
    return this.store.find(id);
  }

  list(query: JobQuery): Promise<JobPage> {
    return this.store.list(query);
  }

  /** Cancels a job that waits or runs: nothing of it will be kept. One that has ended stays as it is. Throws `job_not_found`. */
  async cancel(id: string, message = 'The job was cancelled'): Promise<JobRecord> {
    return (await this.change(id, to.cancel(message, await this.now()))) ?? this.get(id);
  }

  /**
   * Cancels and forgets all jobs of a user, and those that any process has begun to submit. Workers that draw one of them
   * find no record and keep nothing.
   */
  async removeUser(userId: string): Promise<void> {
    const at = await this.store.deleteUser(userId);
    for (;;) {
      const { jobs } = await this.store.list({ userId, limit: 100 });
      if (jobs.length === 0) break;
      await Promise.all(
        jobs.map(async (job) => {
          await this.change(job.id, to.cancel(`The data of user ${userId} was deleted`, await this.now()));
          await this.remove(job);
        }),
      );
    }
    await this.store.purge(userId);
    // What the user begins after it is of a later millisecond.
    while ((await this.now()) <= at) await sleep(1);
  }

  /** Throws `cancelled` when the user was deleted since then, by whichever process: nothing of theirs is to be stored. */
  async assertUser(userId: string, since: number): Promise<void> {
    if (((await this.store.userDeletedAt(userId)) ?? -1) >= since) throw userDeleted(userId);
  }

  /** Removes pictures of a job that has ended, then with the last one the job: only its record leads to them. */
  async discard(job: JobRecord, keys = keysOf(job.picture)): Promise<void> {
    for (const key of keys) await this.storage.delete(key);
    if (!(await this.store.update(job.id, to.without(keys)))) await this.remove(job);
  }

  /** Removes a record and everything that is kept beside it, but not its pictures. */
  async remove({ id, picture }: JobRecord, key: 'frees' | 'holds' = 'frees'): Promise<void> {
    for (const input of inputsOf(picture)) await this.storage.delete(input);
    await this.store.remove(id, key);
    await this.events.forget(id);
  }

  async start(id: string): Promise<JobRecord | undefined> {
    return this.change(id, to.start(await this.now()));
  }

  async succeed(id: string, attempt: number, result: PictureResult): Promise<JobRecord | undefined> {
    return this.change(id, to.succeed(result, attempt, await this.now()));
  }

  async fail(id: string, attempt: number, error: JobError): Promise<JobRecord | undefined> {
    return this.change(id, to.fail(error, attempt, await this.now()));
  }

  /** The engine died under it: queued again, or failed for good. */
  async crash(id: string, attempt: number): Promise<JobRecord | undefined> {
    return this.change(id, to.crash(attempt, await this.now()));
  }

  /** Its turn ends through no fault of its own: queued again, or failed after its last attempt. */
  async giveBack(id: string, attempt: number): Promise<JobRecord | undefined> {
    return this.change(id, to.giveBack(attempt, await this.now()));
  }

  async expire(id: string): Promise<JobRecord | undefined> {
    return this.change(id, to.expire(await this.now()));
  }

  /** Jobs with a webhook delivery that is due; some may be claimed by the time that they are asked for. */
  async webhooksDue(): Promise<readonly string[]> {
    return this.store.webhooksDue(await this.now());
  }

  /** Makes a due delivery this sender's; undefined when it is another's, or not due. */
  async claimWebhook(id: string, index: number): Promise<JobRecord | undefined> {
    return this.store.update(id, outbox.claim(index, await this.now()));
  }

  /** What came of a claimed delivery. */
  async settleWebhook(id: string, index: number, attempt: number, outcome: outbox.Outcome): Promise<Written> {
    const job = await this.store.update(id, outbox.settle(index, attempt, outcome, await this.now()));
    if (job) this.news.emit('attempt', job.webhook!.deliveries[index]);
    return job;
  }

  /** By which jobs are dated. */
  now(): Promise<number> {
    return this.store.now();
  }

  /** Rejects with the reason when jobs cannot be read or written. */
  check(): Promise<void> {
    return this.store.check();
  }

  /**
   * Resolves to the finished job, also when it is that by the moment that `signal` aborts. Rejects with `signal`'s
   * reason; with `job_not_found` when the job is removed; with `draining` when this process ends and the job waits.
   */
  finished(id: string, signal: AbortSignal): Promise<JobRecord> {
    return untilFinished(id, this, this.events, signal, this.drain.turningAway);
  }

  estimate(job: JobRecord): Promise<Estimate> {
    return this.estimates.of(job);
  }

  /** The newest progress of a job that runs. */
  async progress(id: string): Promise<Progress | undefined> {
    const events = await this.events.read(id);
    const last = events.findLast((event) => event.type !== 'preview');
    return last?.type === 'progress' ? last.progress : undefined;
  }

  /** The one place where a state changes: record first, then whoever has to know. */
  private async change(id: string, change: (job: JobRecord) => Written): Promise<Written> {
    const job = await this.store.update(id, change);
    if (!job) return undefined;
    this.news.emit('change', job);
    await this.events.publish(id, { type: 'state', state: job.state, attempts: job.attempts });
    if (isFinished(job)) await this.tidy(job);
    return job;
  }

  /** What a finished job no longer needs; what fails here is found by the maintenance. */
  private async tidy(job: JobRecord): Promise<void> {
    const { id, picture } = job;
    const left = [this.events.finish(id, this.config.JOB_TTL)];
    // A job that ran was taken from the queue.
    if (job.startedAt === undefined) left.push(this.queue.remove(job));
    left.push(...inputsOf(picture).map((input) => this.storage.delete(input)));
    for (const result of await Promise.allSettled(left))
      if (result.status === 'rejected') this.logger.warn({ err: result.reason as unknown, job: id });
  }
}
