import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Size } from '@app/config';
import { ServiceError } from '@app/errors';
import type { JobFiles } from './job.files';
import { EngineCrashed } from '@app/pipeline';
import { OutOfMemory } from '@app/pipeline';
import { draw } from '@app/pipeline';
import type { PipelineService } from '@app/pipeline';
import type { EngineLease, GeneratedPicture, GenerateRequest } from '@app/pipeline';
import { encodePreview } from '@app/pictures';
import type { JobEvents } from '../job.events';
import type { JobLease } from '../job.queue';
import { isFinished, JOB_VERSION, type JobRecord } from '../job.record';
import { deadlineExceeded, toJobError } from '../job.transitions';
import type { Jobs } from '../jobs.service';

/** A cancel comes as a message; should one get lost, the record tells it this much later, in milliseconds. */
const LOOK_AGAIN = 2_000;
/** Until a job that cannot run here now is handed out again. */
const LATER = 5_000;
/** Between attempts to write down what became of a job. */
const PAUSE = 1_000;

interface Tools {
  readonly jobs: Jobs;
  readonly events: JobEvents;
  readonly files: JobFiles;
  readonly pipeline: PipelineService;
  /** Whether a worker elsewhere has the memory for pictures of this size. */
  readonly drawnElsewhere: (size: Size) => Promise<boolean>;
}

/** Why a run ends without an outcome of its own. */
type Stop = 'shutdown' | 'lost' | 'over' | 'deadline' | 'elsewhere';

/** One job, from its lease to its end. */
export class JobRun {
  readonly id: string;
  /** An engine has taken the job, or none will. */
  readonly begun: Promise<void>;
  /** Only some of the engines have the memory for its picture: it waits for one of them. */
  readonly picky: Promise<void>;
  /** Nothing of the job is done here any more. Never rejects. */
  readonly ended: Promise<void>;

  private readonly logger = new Logger('Jobs');
  private readonly stop = new AbortController();
  /** As `stop`, but not for a shutdown: storing a picture that is drawn is shorter than drawing it again. */
  private readonly revoked = new AbortController();
  private hasBegun!: () => void;
  private isPicky!: () => void;
  /** Engines that died under its picture. */
  private readonly died = new Set<number>();
  /** Its picture is an engine's, or is being stored. */
  private drawing = false;

  constructor(
    private readonly lease: JobLease,
    private readonly tools: Tools,
    shutdown: AbortSignal,
  ) {
    this.id = lease.id;
    this.begun = new Promise((resolve) => (this.hasBegun = resolve));
    this.picky = new Promise((resolve) => (this.isPicky = resolve));
    const onShutdown = () => this.end('shutdown');
    const onLost = () => this.end('lost');
    shutdown.addEventListener('abort', onShutdown);
    lease.lost.addEventListener('abort', onLost);
    if (shutdown.aborted) onShutdown();
    this.ended = this.run()
      .catch(async (error: unknown) => {
        this.logger.error({ err: error, job: this.id }, 'A job cannot be handled now; it is tried again');
        await lease.giveBack(LATER).catch(() => {});
      })
      .finally(() => {
        shutdown.removeEventListener('abort', onShutdown);
        lease.lost.removeEventListener('abort', onLost);
        this.hasBegun();
      });
  }

  /**
   * This process is to end: unless its picture is begun, the job goes back to the queue. true: it is, and goes on, also
   * with another engine should this one die.
   */
  drain(): boolean {
    if (!this.drawing) this.end('shutdown');
    return this.drawing;
  }

  /** This process ends: it can run no other job either. */
  get shutDown(): boolean {
    return this.stopped === 'shutdown';
  }

  private get stopped(): Stop | undefined {
    return this.stop.signal.aborted ? (this.stop.signal.reason as Stop) : undefined;
  }

  private end(reason: Stop): void {
    this.stop.abort(reason);
    if (reason !== 'shutdown') this.revoked.abort(reason);
  }

  private async run(): Promise<void> {
    const { jobs } = this.tools;
    let job = await jobs.find(this.id);
    if (!job || isFinished(job)) return this.lease.done();
    // A newer process wrote it and knows better what to do, also when its worker died.
    if (job.version > JOB_VERSION) return this.lease.giveBack(LATER);
    // Its worker died, or lost it: a lease is nobody else's.
    if (job.state === 'running') job = await jobs.giveBack(this.id);
    if (job?.state !== 'queued') return this.lease.done();
    const unwatch = await this.watch(job);
    try {
      const request = await this.prepare(job);
      if (request) while (await this.attempt(request)) this.drawing = false;
    } finally {
      unwatch();
    }
    if (this.stopped === 'lost') return;
    if (this.stopped === 'elsewhere') await this.lease.giveBack(LATER);
    else if (this.stopped === 'shutdown') await this.lease.giveBack();
    else await this.lease.done();
  }

  /** Ends this run when the job is cancelled, forgotten or too late. */
  private async watch(job: JobRecord): Promise<() => void> {
    const look = async () => {
      const now = await this.tools.jobs.find(this.id);
      if (!now || isFinished(now)) this.end('over');
    };
    const unsubscribe = await this.tools.events.subscribe(this.id, (event) => {
      if (event.type === 'state' && isFinished(event)) this.end('over');
    });
    const again = setInterval(() => void look().catch(() => {}), LOOK_AGAIN);
    const late = setTimeout(() => this.end('deadline'), Math.min(job.deadlineAt - Date.now(), 2 ** 31 - 1));
    return () => {
      unsubscribe();
      clearInterval(again);
      clearTimeout(late);
    };
  }

  /** undefined when the job ended meanwhile. */
  private async prepare(job: JobRecord): Promise<GenerateRequest | undefined> {
    try {
      return await this.tools.files.load(job.picture);
    } catch (error) {
      if (this.stopped) return undefined;
      if (error instanceof ServiceError && error.code === 'storage_unavailable') throw error; // later, perhaps
      return this.refuse(error);
    }
  }

  private async refuse(error: unknown): Promise<undefined> {
    const started = await this.tools.jobs.start(this.id);
    if (started) await this.fail(started, error);
  }

  /** Draws the picture once; true: the engine died, and the job deserves another attempt. */
  private async attempt(request: GenerateRequest): Promise<boolean> {
    const engine = await this.acquire(request);
    if (!engine) return this.expire();
    if (this.stopped) {
      engine.release();
      return this.expire();
    }
    this.drawing = true;
    const started = await this.tools.jobs.start(this.id).catch((error: unknown) => {
      engine.release();
      throw error;
    });
    if (!started) {
      engine.release(); // cancelled meanwhile
      return this.expire();
    }
    let picture: GeneratedPicture;
    try {
      const drawing = this.draw(request, engine);
      this.hasBegun();
      picture = await drawing;
    } catch (error) {
      if (error instanceof EngineCrashed) this.died.add(engine.id);
      return this.settle(started, error);
    }
    this.logger.debug({ job: this.id, idle_ms: picture.idle }, 'Drawn');
    await this.keep(started, picture);
    return false;
  }

  private async acquire(size: Size): Promise<EngineLease | undefined> {
    const { pipeline, drawnElsewhere } = this.tools;
    if (!pipeline.drawsEverywhere(size)) this.isPicky();
    try {
      return await pipeline.acquire({ size, avoid: this.died, signal: this.stop.signal });
    } catch (error) {
      if (this.stopped) return undefined;
      if (isDraining(error)) this.end('shutdown');
      else if (!(error instanceof OutOfMemory)) throw error;
      else if (await drawnElsewhere(size)) this.end('elsewhere');
      else await this.refuse(error);
      return undefined;
    }
  }

  private async expire(): Promise<false> {
    if (this.stopped === 'deadline') await this.persist(() => this.tools.jobs.expire(this.id));
    return false;
  }

  private draw(request: GenerateRequest, engine: EngineLease): Promise<GeneratedPicture> {
    const { events, pipeline } = this.tools;
    return draw(pipeline, engine, request, {
      signal: this.stop.signal,
      onProgress: (progress) => void events.publish(this.id, { type: 'progress', progress }),
      previewsWanted: () => events.previewsWanted(this.id),
      onPreview: ({ pixels, width, height, step }) =>
        void encodePreview(pixels, width, height)
          .then((jpeg) =>
            events.publish(this.id, { type: 'preview', preview: { step, jpeg, width, height } }),
          )
          .catch((error: unknown) => this.logger.warn({ err: error, job: this.id }, 'A preview was lost')),
    });
  }

  /** Stores the picture, and takes it away again when the job was cancelled or forgotten at the last moment. */
  private async keep(job: JobRecord, picture: GeneratedPicture): Promise<void> {
    const { jobs, files } = this.tools;
    try {
      const clock = { createdAt: job.createdAt, startedAt: job.startedAt! };
      const result = await files.store(job.picture, picture, clock, this.revoked.signal);
      if (await this.persist(() => jobs.succeed(this.id, job.attempts, result))) return;
      const now = await jobs.find(this.id);
      if (!now || (isFinished(now) && now.state !== 'succeeded')) await files.discard(job.picture);
    } catch (error) {
      await this.settle(job, error);
    }
  }

  /** What a failure means; true: try again. */
  private async settle(job: JobRecord, error: unknown): Promise<boolean> {
    const { jobs } = this.tools;
    if (isDraining(error)) this.end('shutdown');
    switch (this.stopped) {
      case 'lost':
      case 'over':
      case 'elsewhere':
        return false;
      case 'shutdown':
        await this.persist(() => jobs.giveBack(this.id));
        return false;
      case 'deadline':
        await this.fail(job, deadlineExceeded('was not done'));
        return false;
      case undefined:
    }
    if (!(error instanceof EngineCrashed)) {
      await this.fail(job, error);
      return false;
    }
    this.logger.error({ job: this.id, attempts: job.attempts, lines: error.lines }, error.message);
    const after = await this.persist(() =>
      error.begun ? jobs.crash(this.id, job.attempts) : jobs.giveBack(this.id),
    );
    return after?.state === 'queued';
  }

  private async fail(job: JobRecord, error: unknown): Promise<void> {
    const known = error instanceof ServiceError;
    if (!known) this.logger.error({ err: error, job: this.id }, 'A job failed in an unexpected way');
    const told = known
      ? error
      : new ServiceError('internal_error', 'The service failed in an unexpected way; its log says why');
    await this.persist(() => this.tools.jobs.fail(this.id, job.attempts, toJobError(told)));
  }

  /** What became of a job must be written, however long that takes; unless it is another's by now. */
  private async persist<T>(write: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (this.stopped === 'lost' || this.stopped === 'shutdown') throw error;
        this.logger.error({ err: error, job: this.id }, 'The end of a job cannot be written yet');
        await sleep(PAUSE);
      }
    }
  }
}

/** The pipeline says so, perhaps before this run is told to stop. */
const isDraining = (error: unknown) => error instanceof ServiceError && error.code === 'draining';
