import { Logger } from '@nestjs/common';
import type { Size } from '@app/config';
import { ServiceError } from '@app/errors';
import { drawnSize } from '@app/models/family';
import { OutOfMemory, type EngineLease, type GenerateRequest, type PipelineService } from '@app/pipeline';
import type { JobEvents } from '../job.events';
import type { JobLease } from '../job.queue';
import { isFinished, JOB_VERSION, type JobRecord } from '../job.record';
import type { Jobs } from '../jobs.service';
import type { Rescuer } from '../rescuer';
import { Candidates, type ChosenPicture } from './candidates';
import { Drawing } from './drawing';
import { FaceDetail } from './face.detail';
import type { JobFaces, LookTurn } from './job.faces';
import type { JobFiles } from './job.files';
import { isDraining, RunOutcome } from './run.outcome';
import { RunStop } from './run.stop';

/** Until a job that cannot run here now is handed out again. */
const LATER = 5_000;

interface Tools {
  readonly jobs: Jobs;
  readonly rescuer: Rescuer;
  readonly events: JobEvents;
  readonly files: JobFiles;
  readonly faces: JobFaces;
  readonly pipeline: PipelineService;
  /** Whether a worker elsewhere has the memory for pictures of this size. */
  readonly drawnElsewhere: (size: Size) => Promise<boolean>;
}

/** One job, from its lease to its end. */
export class JobRun {
  readonly id: string;
  /** An engine has taken the job, or none will. */
  readonly begun: Promise<void>;
  /** Others may be drawn first: it waits for an engine that has the memory for its picture, or for one to merge its LoRAs. */
  readonly picky: Promise<void>;
  /** It needs no engine any more. */
  readonly drawn: Promise<void>;
  /** Nothing of the job is done here any more. Never rejects. */
  readonly ended: Promise<void>;

  private readonly logger = new Logger('Jobs');
  private readonly stop: RunStop;
  private readonly outcome: RunOutcome;
  private hasBegun!: () => void;
  private isPicky!: () => void;
  private isDrawn!: () => void;
  /** Its picture is an engine's, or is being stored. */
  private drawing = false;
  /** Its picture is drawn, and is kept here until it is stored. */
  storing = false;

  constructor(
    private readonly lease: JobLease,
    private readonly tools: Tools,
    shutdown: AbortSignal,
  ) {
    this.id = lease.id;
    this.begun = new Promise((resolve) => (this.hasBegun = resolve));
    this.picky = new Promise((resolve) => (this.isPicky = resolve));
    this.drawn = new Promise((resolve) => (this.isDrawn = resolve));
    this.stop = new RunStop(tools, lease, shutdown);
    this.outcome = new RunOutcome(tools, this.stop);
    this.ended = this.run()
      .catch(async (error: unknown) => {
        this.logger.error({ err: error, job: this.id }, 'A job cannot be handled now; it is tried again');
        await lease.release(LATER).catch(() => {});
      })
      .finally(() => {
        this.stop.close();
        this.hasBegun();
        this.isDrawn();
        tools.jobs.news.emit('left', this.id);
      });
  }

  /**
   * This process is to end: unless its picture is begun, the job goes back to the queue. true: it is, and goes on, also
   * with another engine should this one die.
   */
  drain(): boolean {
    if (!this.drawing) this.stop.end('shutdown');
    return this.drawing;
  }

  /** Nothing can be begun here: unless its picture is begun, the job goes back to the queue, for another process. */
  unready(): void {
    if (!this.drawing) this.stop.end('unready');
  }

  /** This process ends: it can run no other job either. */
  get shutDown(): boolean {
    return this.stop.reason === 'shutdown';
  }

  /** Another worker's by now. */
  private get lost(): boolean {
    return this.stop.reason === 'lost';
  }

  private async run(): Promise<void> {
    const { jobs, rescuer } = this.tools;
    let job = await jobs.find(this.id);
    if (this.lost) return;
    if (!job || isFinished(job)) return this.lease.done();
    // A newer process wrote it and knows better what to do, also when its worker died.
    if (job.version > JOB_VERSION) return this.lease.release(LATER);
    // Its worker died, or lost it: a lease is nobody else's.
    if (job.state === 'running') job = await rescuer.rescue(job);
    if (job?.state !== 'queued') return this.lease.done();
    await this.stop.watch(job);
    try {
      const request = await this.prepare(job);
      if (request) await this.draw(request);
    } finally {
      this.stop.close();
    }
    if (this.lost) return;
    if (this.stop.reason === 'elsewhere') await this.lease.release(LATER);
    else if (this.stop.reason === 'shutdown' || this.stop.reason === 'unready') await this.lease.release();
    else await this.lease.done();
  }

  /** undefined when the job ended meanwhile. */
  private async prepare(job: JobRecord): Promise<GenerateRequest | undefined> {
    try {
      return await this.tools.files.load(job.picture);
    } catch (error) {
      if (this.stop.reason) return undefined;
      if (error instanceof ServiceError && error.code === 'storage_unavailable') throw error; // later, perhaps
      return this.refuse(error);
    }
  }

  private async refuse(error: unknown): Promise<undefined> {
    const started = await this.tools.jobs.start(this.id);
    if (started) await this.outcome.fail(started, error);
  }

  private async draw(request: GenerateRequest): Promise<void> {
    const drawing = new Drawing(this.id, request, this.tools, this.stop.signal);
    while (await this.attempt(request, drawing)) this.drawing = false;
  }

  /** true: the engine died, and the job deserves another attempt. */
  private async attempt(request: GenerateRequest, drawing: Drawing): Promise<boolean> {
    // An engine that died under it may be long in coming back.
    if (!this.tools.pipeline.draws) this.unready();
    const engine = await this.acquire(request, drawing);
    if (!engine || this.stop.reason) {
      engine?.release();
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
    const begunAt = performance.now();
    let picture: ChosenPicture;
    try {
      const turn = { caller: started.account ?? started.caller, signal: this.stop.revoked };
      const detail = this.detail(started, request, turn);
      const candidates = new Candidates(started.picture, request, this.tools.faces, turn, detail);
      const drawn = candidates.take(drawing.draw(engine, candidates.most, detail));
      this.hasBegun();
      await drawn;
      this.tools.jobs.news.emit('drawn', this.id);
      this.storing = true;
      this.isDrawn();
      picture = await candidates.choose();
    } catch (error) {
      return this.outcome.settle(started, error);
    }
    this.logger.debug({ job: this.id, idle_ms: picture.idle }, 'Drawn');
    await this.outcome.store(started, picture, begunAt);
    return false;
  }

  private detail({ picture }: JobRecord, request: GenerateRequest, turn: LookTurn): FaceDetail | undefined {
    const { faceDetail } = picture;
    return faceDetail && new FaceDetail({ ...picture, faceDetail }, request, this.tools.faces, turn);
  }

  private async acquire(request: GenerateRequest, drawing: Drawing): Promise<EngineLease | undefined> {
    const { pipeline, drawnElsewhere } = this.tools;
    const size = drawnSize(request);
    if (!pipeline.drawsEverywhere(size) || !pipeline.hasMerged(request.loras)) this.isPicky();
    try {
      return await drawing.acquire();
    } catch (error) {
      if (this.stop.reason) return undefined;
      if (isDraining(error)) this.stop.end('shutdown');
      else if (!(error instanceof OutOfMemory)) throw error;
      else if (await drawnElsewhere(size)) this.stop.end('elsewhere');
      else await this.refuse(error);
      return undefined;
    }
  }

  /** Not begun: too late, or ended otherwise. */
  private async expire(): Promise<false> {
    if (this.stop.reason === 'deadline') await this.outcome.expire(this.id);
    return false;
  }
}
