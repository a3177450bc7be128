import {
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { Config, INPUTS } from '@app/config';
import { Storage } from '@app/storage';
import { isFinished } from './job.record';
import { JobStore } from './job.store';
import { Jobs } from './jobs.service';

const SECOND = 1_000;
const HOUR = 3600 * SECOND;

/** Of the time between two rounds the share that one process has it for: its own next round must find it free. */
const CLAIMED = 0.9;

/** A copy of a reference picture is written before its job: younger ones may wait for theirs. */
const ORPHAN_AGE = HOUR;

/** Of the pictures one round deletes at most this share, or so many where these are more: a clock may be wrong. */
const MOST_OF_ALL = 0.1;
const MOST_OF_FEW = 100;

/**
 * What time does to jobs: deadlines, and forgetting. By the clocks of records and storage, and of the processes that share
 * them one at a time.
 */
@Injectable()
export class JobMaintenance implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Maintenance');
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly rounds = new Set<Promise<void>>();
  private readonly stopping = new AbortController();

  constructor(
    private readonly config: Config,
    private readonly jobs: Jobs,
    private readonly store: JobStore,
    private readonly storage: Storage,
  ) {}

  onApplicationBootstrap(): void {
    const { JOB_TTL, RESULT_TTL } = this.config;
    this.every(SECOND, 'deadlines', () => this.expire());
    this.every(share(JOB_TTL, 60 * SECOND), 'finished jobs', () => this.forget());
    this.every(HOUR, 'left copies', () => this.removeOrphans());
    if (RESULT_TTL) this.every(share(RESULT_TTL, HOUR), 'old pictures', () => this.removeResults(RESULT_TTL));
  }

  /** Before the records are closed. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    for (const timer of this.timers) clearInterval(timer);
    await Promise.all(this.rounds);
  }

  /** One after the other: a slow bucket must not pile up rounds. */
  private every(interval: number, what: string, work: () => Promise<void>): void {
    let running: Promise<void> | undefined;
    const begin = () => {
      if (running) return;
      const round = this.round(what, interval, work).finally(() => {
        this.rounds.delete(round);
        running = undefined;
      });
      this.rounds.add((running = round));
    };
    this.timers.push(setInterval(begin, interval).unref());
    begin();
  }

  private async round(what: string, interval: number, work: () => Promise<void>): Promise<void> {
    try {
      if (await this.store.claim(what, CLAIMED * interval)) await work();
    } catch (error) {
      if (!this.stopping.signal.aborted) this.logger.warn({ err: error }, `Maintenance of ${what} failed`);
    }
  }

  private async expire(): Promise<void> {
    const ids = await this.store.overdue(await this.store.now());
    await Promise.all(ids.map((id) => this.jobs.expire(id)));
  }

  private async forget(): Promise<void> {
    const oldest = (await this.store.now()) - this.config.JOB_TTL * SECOND;
    for (;;) {
      const ids = await this.store.finishedBefore(oldest);
      await Promise.all(
        ids.map(async (id) => {
          const job = await this.store.find(id);
          if (job) await this.jobs.remove(job, 'holds');
        }),
      );
      if (ids.length === 0 || this.stopping.signal.aborted) return;
    }
  }

  private async removeResults(seconds: number): Promise<void> {
    const oldest = (await this.storageTime('results')) - seconds * SECOND;
    const old: { readonly key: string; readonly at: number }[] = [];
    let all = 0;
    for await (const { key, lastModified } of this.storage.list(this.config.S3_GENERATED_PREFIX)) {
      if (this.stopping.signal.aborted) return;
      all++;
      if (lastModified.getTime() < oldest) old.push({ key, at: lastModified.getTime() });
    }
    const most = Math.max(MOST_OF_FEW, Math.ceil(all * MOST_OF_ALL));
    if (old.length > most) {
      this.logger.warn(
        `${old.length} of ${all} images are older than RESULT_TTL: the oldest ${most} are deleted now, others in later rounds`,
      );
    }
    for (const { key } of old.sort((a, b) => a.at - b.at).slice(0, most)) {
      if (this.stopping.signal.aborted) return;
      await this.storage.delete(key);
    }
  }

  /** By which the storage dates its objects: that of one which it is just given. */
  private async storageTime(round: string): Promise<number> {
    const key = inputKey(`clock-${round}`);
    await this.storage.put(key, Buffer.from(round), 'image/png');
    const object = await this.storage.open(key);
    object?.body.destroy();
    await this.storage.delete(key);
    if (!object) throw new Error('The storage lost an object that it was just given');
    return object.lastModified.getTime();
  }

  /** Copies of pictures whose job was never accepted, or ended while the storage was away. */
  private async removeOrphans(): Promise<void> {
    const oldest = (await this.storageTime('copies')) - ORPHAN_AGE;
    for await (const { key, lastModified } of this.storage.list(INPUTS)) {
      if (this.stopping.signal.aborted) return;
      if (lastModified.getTime() >= oldest) continue;
      const job = await this.store.find(idOfInput(key));
      if (!job || isFinished(job)) await this.storage.delete(key);
    }
  }
}

/** Where the copy of a job's reference picture is stored, or of another that it is made from. */
export const inputKey = (jobId: string, which?: 'image' | 'mask' | 'control' | number): string =>
  `${INPUTS}${jobId}${which ? `-${which}` : ''}.png`;
const idOfInput = (key: string) => key.slice(INPUTS.length).split(/[-.]/, 1)[0];

/** A tenth of the time that things are kept, but at least every `longest` milliseconds. */
const share = (seconds: number, longest: number) =>
  Math.min(Math.max((seconds * SECOND) / 10, SECOND), longest);
