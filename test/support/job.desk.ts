import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { Config } from '@app/config';
import type { FaceFinder } from '@app/faces';
import { Drain } from '@app/lifecycle';
import { Jobs, JobFiles, type Capabilities, type JobEvents, type JobRecord } from '@app/jobs';
import type { WorkerCapabilities } from '../../libs/jobs/capabilities/fleet.capabilities';
import type { RedisWorkerPresence } from '../../libs/jobs/redis/redis.worker.presence';
import type { GenerateListeners } from '../../libs/pipeline/pipeline.types';
import { Dispatcher } from '../../libs/jobs/worker/dispatcher';
import { JobFaces } from '../../libs/jobs/worker/job.faces';
import { ModelTurns } from '../../libs/jobs/worker/model.turns';
import { PictureUploads } from '../../libs/jobs/worker/picture.uploads';
import { Estimates } from '../../libs/jobs/estimates';
import { JobQueue, type JobLease, type Rescue } from '../../libs/jobs/job.queue';
import type { JobStore } from '../../libs/jobs/job.store';
import { Rescuer } from '../../libs/jobs/rescuer';
import { MemoryJobEvents } from '../../libs/jobs/embedded/memory.job.events';
import { JobsDatabase } from '../../libs/jobs/embedded/jobs.database';
import { SqliteJobQueue } from '../../libs/jobs/embedded/sqlite.job.queue';
import { SqliteJobStore } from '../../libs/jobs/embedded/sqlite.job.store';
import { until } from './eventually';
import { draft } from './jobs';
import { MemoryStorage } from './memory.storage';
import { PipelineStub } from './pipeline.stub';

/** Nobody who looks for faces. */
const NOBODY = { find: () => Promise.resolve(undefined), describe: () => Promise.resolve(undefined) };

/** A picture that the engine is at, until the spec ends it. */
export interface Drawing {
  readonly prompt: string;
  readonly listeners: GenerateListeners;
  readonly finish: () => void;
  readonly fail: (error: Error) => void;
}

/** The real queue, whose leases can be lost, and which waits no seconds for what is released back for later. */
export class WatchedQueue extends JobQueue {
  readonly taken: string[] = [];
  readonly released: { readonly id: string; readonly delay: number }[] = [];
  private readonly losses = new Map<string, AbortController>();

  constructor(private readonly queue: JobQueue) {
    super();
  }

  lose = (id: string) => this.losses.get(id)!.abort();
  start = (rescue: Rescue) => this.queue.start(rescue);
  add = (job: JobRecord) => this.queue.add(job);
  remove = (job: JobRecord) => this.queue.remove(job);
  waiting = () => this.queue.waiting();
  close = () => this.queue.close();

  async take(signal: AbortSignal, models?: readonly string[]): Promise<JobLease | undefined> {
    const lease = await this.queue.take(signal, models);
    if (!lease) return undefined;
    const { id } = lease;
    const loss = new AbortController();
    this.losses.set(id, loss);
    this.taken.push(id);
    const release = (delay = 0) => {
      this.released.push({ id, delay });
      return lease.release(Math.min(delay, 20));
    };
    const lost = AbortSignal.any([loss.signal, lease.lost]);
    return { id, lost, done: () => lease.done(), release };
  }
}

/** Where the jobs of one process are. */
export interface Records {
  readonly store: JobStore;
  readonly queue: JobQueue;
  readonly events: JobEvents;
  readonly close: () => Promise<void>;
  /** Where files of theirs are. */
  readonly folder?: string;
}

/** Those of an embedded process, in a folder of its own. */
function embedded(): Records {
  const folder = mkdtempSync(join(tmpdir(), 'desk-'));
  const database = JobsDatabase.open(folder);
  return {
    folder,
    store: new SqliteJobStore(database),
    queue: new SqliteJobQueue(database),
    events: new MemoryJobEvents(),
    close: () => {
      database.close();
      rmSync(folder, { recursive: true });
      return Promise.resolve();
    },
  };
}

/** Everything between an accepted job and its stored picture, real but for engine and storage. */
export class JobDesk {
  readonly config: Config;
  readonly storage = new MemoryStorage();
  readonly uploads = new PictureUploads(this.storage);
  readonly pipeline = new PipelineStub();
  readonly store: JobStore;
  readonly events: JobEvents;
  readonly queue: WatchedQueue;
  readonly jobs: Jobs;
  readonly estimates: Estimates;
  readonly drain: Drain;
  readonly dispatcher: Dispatcher;

  /** That share the queue, as far as they tell. */
  workers: readonly Partial<WorkerCapabilities>[] = [];

  private readonly begun: Drawing[] = [];

  constructor(
    config: Partial<Config> = {},
    capabilities = { engines: 1 },
    readonly records: Records = embedded(),
    faceFinder: Pick<FaceFinder, 'find' | 'describe'> = NOBODY,
  ) {
    Logger.overrideLogger(false);
    this.config = Object.assign(new Config(), config);
    this.store = records.store;
    this.events = records.events;
    this.queue = new WatchedQueue(records.queue);
    this.estimates = new Estimates(this.store, capabilities as Capabilities);
    this.drain = new Drain(this.config);
    const { store, queue, events, storage, uploads, estimates, pipeline, drain } = this;
    this.jobs = new Jobs(this.config, store, queue, events, storage, estimates, drain);
    const rescuer = new Rescuer(this.jobs);
    const files = new JobFiles(pipeline.as(), storage, uploads, this.config);
    const presence = { list: () => Promise.resolve(this.workers) } as RedisWorkerPresence<WorkerCapabilities>;
    const turns = new ModelTurns(this.config, queue, store, pipeline.as(), presence);
    this.dispatcher = new Dispatcher(
      queue,
      turns,
      this.jobs,
      rescuer,
      events,
      files,
      new JobFaces(this.config, faceFinder as FaceFinder),
      uploads,
      pipeline.as(),
      drain,
      presence,
    );
    pipeline.work = (signal, listeners = {}) =>
      new Promise((finish, fail) => {
        signal?.addEventListener('abort', () => fail(signal.reason as Error));
        if (signal?.aborted) return fail(signal.reason as Error);
        this.begun.push({ prompt: pipeline.requests.at(-1)!.prompt, listeners, finish, fail });
      });
  }

  /** A small picture's job, known by its prompt. */
  async submit(prompt: string, overrides: Parameters<typeof draft>[0] = {}): Promise<JobRecord> {
    const picture = { prompt, width: 64, height: 64, steps: 4, ...overrides.picture };
    return (await this.jobs.submit(draft({ ...overrides, picture }), false)).job;
  }

  /** The next picture that the engine begins. */
  async drawing(): Promise<Drawing> {
    await until(() => this.begun.length > 0);
    return this.begun.shift()!;
  }

  /** Prompts in the order in which the engine began them. */
  get drawn(): string[] {
    return this.pipeline.requests.map(({ prompt }) => prompt);
  }

  ended({ id }: JobRecord): Promise<JobRecord> {
    return this.jobs.finished(id, AbortSignal.timeout(20_000));
  }

  /** From now on a picture waits before it is stored. */
  holdStorage(): { readonly reached: Promise<void>; readonly release: () => void } {
    const { promise: gate, resolve: release } = promised();
    const { promise: reached, resolve: reach } = promised();
    const put = this.storage.put.bind(this.storage);
    this.storage.put = async (key, body) => {
      reach();
      await gate;
      return put(key, body);
    };
    return { reached, release };
  }

  async close(): Promise<void> {
    await this.dispatcher.beforeApplicationShutdown();
    await this.jobs.onApplicationShutdown();
    await this.records.close();
  }
}

function promised(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
