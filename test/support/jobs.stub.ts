import { ServiceError } from '@app/errors';
import {
  isFinished,
  JobEvents,
  type JobEvent,
  type JobPage,
  type JobQuery,
  type JobRecord,
  type Jobs,
  type StoredEvent,
} from '@app/jobs';
import { drainingError } from '@app/lifecycle';
import type { Progress } from '@app/pipeline';

export const JOB_ID = '0123456789abcdef01234567';

/** A job of user ann, queued. */
export const aJob = (fields: Partial<JobRecord> = {}): JobRecord => ({
  version: 1,
  id: JOB_ID,
  caller: 'user:ann',
  state: 'queued',
  picture: {
    id: JOB_ID,
    route: 'memory',
    userId: 'ann',
    prompt: 'a walk',
    negativePrompt: '',
    ...{ width: 128, height: 128, steps: 50, guidanceScale: 5, seed: 42, loras: [], ipAdapterScale: 0.6 },
    key: `generated/ann/memory_${JOB_ID}.png`,
  },
  place: { seq: 7, start: 0, finish: 50 },
  createdAt: 1_767_225_600_900,
  deadlineAt: 1_767_229_200_900,
  attempts: 0,
  crashes: 0,
  ...fields,
});

export const running = { state: 'running', startedAt: 1_767_225_610_500, attempts: 1 } as const;

export const succeeded = {
  ...running,
  state: 'succeeded',
  finishedAt: 1_767_225_620_999,
  result: {
    key: `generated/ann/memory_${JOB_ID}.png`,
    s3_uri: `s3://local/generated/ann/memory_${JOB_ID}.png`,
    seed: 42,
    size: '128x128',
    timings: {
      ...{ queue_ms: 1, text_ms: 2, image_ms: 3, sampling_ms: 4 },
      ...{ decode_ms: 5, encode_ms: 6, store_ms: 7, total_ms: 28 },
    },
    warnings: ['a warning'],
  },
} as const;

export const failed = {
  ...running,
  state: 'failed',
  finishedAt: 1_767_225_620_999,
  error: { code: 'out_of_memory', message: 'The picture needs more memory' },
} as const;

/** What Jobs gives the API, over records that a spec writes. */
export class JobsStub implements Pick<
  Jobs,
  'get' | 'finished' | 'list' | 'cancel' | 'discard' | 'estimate' | 'progress'
> {
  readonly records = new Map<string, JobRecord>();
  readonly queries: JobQuery[] = [];
  next?: number;
  /** Calls of `get`. */
  finds = 0;
  estimated = { position: 3, startAt: 1_767_225_700_100, endAt: 1_767_225_800_200 };
  newest?: Progress;
  private readonly wakers = new Set<() => void>();

  /** Writes a record, the one with JOB_ID unless the fields say otherwise. */
  put(fields: Partial<JobRecord> = {}): JobRecord {
    const job = aJob(fields);
    this.records.set(job.id, job);
    for (const wake of this.wakers) wake();
    return job;
  }

  get(id: string, userId?: string): Promise<JobRecord> {
    this.finds++;
    const job = this.records.get(id);
    return job && (userId === undefined || job.picture.userId === userId)
      ? Promise.resolve(job)
      : Promise.reject(new ServiceError('job_not_found', `There is no job ${id}`));
  }

  /** As the real one at the end of the process, the only time when it is asked here. */
  async finished(id: string, signal: AbortSignal): Promise<JobRecord> {
    for (;;) {
      const news = new Promise<void>((wake) => {
        this.wakers.add(wake);
        signal.addEventListener('abort', () => wake());
      });
      const job = await this.get(id);
      if (isFinished(job)) return job;
      signal.throwIfAborted();
      if (job.state === 'queued') throw drainingError();
      await news;
    }
  }

  list(query: JobQuery): Promise<JobPage> {
    this.queries.push(query);
    return Promise.resolve({ jobs: [...this.records.values()], next: this.next });
  }

  async cancel(id: string): Promise<JobRecord> {
    const job = await this.get(id);
    if (isFinished(job)) return job;
    return this.put({
      ...job,
      state: 'cancelled',
      finishedAt: succeeded.finishedAt,
      error: { code: 'cancelled', message: 'The job was cancelled' },
    });
  }

  discard({ id }: JobRecord): Promise<void> {
    this.records.delete(id);
    return Promise.resolve();
  }

  estimate(): Promise<typeof this.estimated> {
    return Promise.resolve(this.estimated);
  }

  progress(): Promise<Progress | undefined> {
    return Promise.resolve(this.newest);
  }
}

interface Subscription {
  readonly jobId: string;
  readonly previews: boolean;
  readonly listener: (event: StoredEvent) => void;
}

/** Events of this process, kept for ever. */
export class EventsStub extends JobEvents {
  readonly kept: StoredEvent[] = [];
  readonly subscriptions = new Set<Subscription>();
  /** Called when kept events are read, before they are. */
  onRead: () => void = () => {};
  private count = 0;

  /** Stores and tells an event; its id is `1-1`, `1-2`, … */
  emit(event: JobEvent, jobId = JOB_ID): StoredEvent {
    const stored = { ...event, id: `1-${event.type === 'preview' ? this.count : ++this.count}` };
    if (stored.type !== 'preview') this.kept.push(stored);
    for (const subscription of this.subscriptions) {
      if (subscription.jobId !== jobId || (stored.type === 'preview' && !subscription.previews)) continue;
      subscription.listener(stored);
    }
    return stored;
  }

  publish(jobId: string, event: JobEvent): Promise<void> {
    this.emit(event, jobId);
    return Promise.resolve();
  }

  read(): Promise<readonly StoredEvent[]> {
    this.onRead();
    return Promise.resolve([...this.kept]);
  }

  subscribe(
    jobId: string,
    listener: (event: StoredEvent) => void,
    { previews = false }: { previews?: boolean } = {},
  ): Promise<() => void> {
    const subscription = { jobId, listener, previews };
    this.subscriptions.add(subscription);
    return Promise.resolve(() => void this.subscriptions.delete(subscription));
  }

  previewsWanted(): Promise<boolean> {
    return Promise.resolve([...this.subscriptions].some(({ previews }) => previews));
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  forget(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
