import { Injectable } from '@nestjs/common';
import { Durations, toWork } from './durations';
import type { JobRecord } from './job.record';
import { JobStore, type QueuedJob } from './job.store';
import { Capabilities } from './capabilities/capabilities';

/** When a job begins and ends, as far as is known. */
export interface Estimate {
  /** 1 is next; only of queued jobs. */
  readonly position?: number;
  /** Milliseconds since 1970. */
  readonly startAt?: number;
  readonly endAt?: number;
}

/** Newest pictures that are looked at; one slow moment is outvoted. */
const SAMPLES = 50;
/** Milliseconds for which an answer of the store is used again. */
const FRESH = 1_000;
/** Seconds for a Retry-After before the first picture was measured. */
const UNMEASURED = 30;

/** What waits before a queued job. */
interface Ahead {
  /** 1 is next. */
  readonly position: number;
  /** Of all before it together, for one engine; undefined before any picture was made. */
  readonly work?: number;
}

interface QueueRead {
  /** When it was begun. */
  readonly at: number;
  readonly ahead: Promise<ReadonlyMap<string, Ahead>>;
}

/** How long callers wait, from the times of the newest pictures by size. */
@Injectable()
export class Estimates {
  private durations = Promise.resolve(new Durations([]));
  private running: Promise<readonly JobRecord[]> = Promise.resolve([]);
  private readAt = -Infinity;
  private queue?: QueueRead;

  constructor(
    private readonly store: JobStore,
    private readonly capabilities: Capabilities,
  ) {}

  async of(job: JobRecord): Promise<Estimate> {
    const takes = (await this.refresh()).of(toWork(job));
    const now = await this.store.now();
    if (job.state === 'running') {
      const startAt = job.startedAt ?? now;
      return { startAt, ...(takes !== undefined && { endAt: Math.max(startAt + takes, now) }) };
    }
    const ahead = job.state === 'queued' ? await this.ahead(job.id) : undefined;
    if (!ahead) return {};
    const { position } = ahead;
    const wait = await this.wait(ahead);
    if (takes === undefined || wait === undefined) return { position };
    const startAt = now + wait;
    return { position, startAt, endAt: startAt + takes };
  }

  /** Seconds until the next running job ends, and with it a place in the queue comes free. */
  async untilPlace(): Promise<number> {
    const left = (await this.remaining()).filter((ms) => ms !== undefined);
    return left.length === 0 ? UNMEASURED : Math.max(1, Math.ceil(Math.min(...left) / 1000));
  }

  /**
   * One pass over the queue serves all who ask within a second, however many they are. Of a job that was not there yet
   * the next pass tells.
   */
  private async ahead(id: string): Promise<Ahead | undefined> {
    const known = this.queue;
    const read = known && performance.now() - known.at <= FRESH ? known : this.readQueue();
    const found = (await read.ahead).get(id);
    if (found || read !== known) return found;
    const next = this.queue && this.queue !== known ? this.queue : this.readQueue();
    return (await next.ahead).get(id);
  }

  private readQueue(): QueueRead {
    const read = { at: performance.now(), ahead: this.store.queued().then((jobs) => this.lineUp(jobs)) };
    read.ahead.catch(() => {
      if (this.queue === read) this.queue = undefined;
    });
    return (this.queue = read);
  }

  private async lineUp(jobs: readonly QueuedJob[]): Promise<ReadonlyMap<string, Ahead>> {
    const durations = await this.refresh();
    const ahead = new Map<string, Ahead>();
    let work: number | undefined = 0;
    for (const [index, job] of jobs.entries()) {
      ahead.set(job.id, { position: index + 1, work });
      const takes = durations.of(job);
      work = work === undefined || takes === undefined ? undefined : work + takes;
    }
    return ahead;
  }

  /** Milliseconds until all before it and what runs now is done, the engines sharing it. */
  private async wait({ work }: Ahead): Promise<number | undefined> {
    const times = [work, ...(await this.remaining())];
    if (times.some((ms) => ms === undefined)) return undefined;
    return (times as number[]).reduce((sum, ms) => sum + ms, 0) / Math.max(1, this.capabilities.engines);
  }

  private async remaining(): Promise<(number | undefined)[]> {
    const durations = await this.refresh();
    const now = await this.store.now();
    return (await this.running).map((job) => {
      const takes = durations.of(toWork(job));
      return takes && Math.max(0, (job.startedAt ?? 0) + takes - now);
    });
  }

  private async refresh(): Promise<Durations> {
    if (performance.now() - this.readAt > FRESH) {
      this.readAt = performance.now();
      this.durations = this.store
        .list({ state: 'succeeded', limit: SAMPLES })
        .then(({ jobs }) => new Durations(jobs));
      this.running = this.store.list({ state: 'running', limit: 100 }).then(({ jobs }) => jobs);
      for (const read of [this.durations, this.running]) read.catch(() => (this.readAt = -Infinity));
    }
    const [durations] = await Promise.all([this.durations, this.running]);
    return durations;
  }
}
