import {
  Injectable,
  Logger,
  Optional,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Size } from '@app/config';
import { Drain } from '@app/lifecycle';
import type { WorkerCapabilities } from '../capabilities/fleet.capabilities';
import { JobFaces } from './job.faces';
import { JobFiles } from './job.files';
import { PipelineService } from '@app/pipeline';
import { JobEvents } from '../job.events';
import { JobQueue, type JobLease } from '../job.queue';
import { JobRun } from './job.run';
import { ModelTurns } from './model.turns';
import { PictureUploads } from './picture.uploads';
import { Jobs } from '../jobs.service';
import { Rescuer } from '../rescuer';
import { RedisWorkerPresence } from '../redis/redis.worker.presence';

/** Between attempts to reach the queue, in milliseconds. */
const PAUSE = 1_000;
/** Pictures that may be on their way to the storage before the next job is taken: where it is slow, they would pile up. */
const MOST_STORING = 16;

/**
 * Takes jobs for the engines of this process. Exactly one is fetched ahead and prepared while the engines work: it
 * is still queued for everybody else. What was drawn is encoded and stored while the next one is drawn.
 */
@Injectable()
export class Dispatcher implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  private readonly logger = new Logger('Dispatcher');
  private readonly runs = new Set<JobRun>();
  /** Waits for a larger engine, or for an engine's LoRAs to change. */
  private aside?: JobRun;
  private loop: Promise<void> = Promise.resolve();
  /** Aborted when no job can be begun any more: there is no engine or no storage, or this process ends. */
  private able = new AbortController();

  constructor(
    private readonly queue: JobQueue,
    private readonly turns: ModelTurns,
    private readonly jobs: Jobs,
    private readonly rescuer: Rescuer,
    private readonly events: JobEvents,
    private readonly files: JobFiles,
    private readonly faces: JobFaces,
    private readonly uploads: PictureUploads,
    private readonly pipeline: PipelineService,
    private readonly drain: Drain,
    @Optional() private readonly presence?: RedisWorkerPresence<WorkerCapabilities>,
  ) {
    drain.draining.addEventListener('abort', () => {
      this.able.abort();
      this.drainRuns();
    });
    const look = () => {
      if (!this.works) this.unready();
    };
    pipeline.onChange(look);
    uploads.onChange(look);
  }

  onApplicationBootstrap(): void {
    this.loop = this.dispatch();
  }

  /** Pictures that are begun get their grace. */
  onModuleDestroy(): Promise<void> {
    return this.drain.waitFor(async () => {
      await this.loop;
      await this.runsEnded();
    });
  }

  /** Jobs that still run go back to the queue; waiting ones are not touched. */
  async beforeApplicationShutdown(): Promise<void> {
    this.drain.expire();
    await this.pipeline.stop();
    await this.loop;
    await this.runsEnded();
  }

  private async runsEnded(): Promise<void> {
    await Promise.all([...this.runs].map((run) => run.ended));
  }

  /** The job that is fetched ahead goes back at once: it may be another process's turn. */
  private drainRuns(): void {
    const running = [...this.runs].filter((run) => run.drain()).length;
    const { seconds } = this.drain;
    if (running === 0 || seconds === 0) return;
    const pictures = running === 1 ? '1 running picture' : `${running} running pictures`;
    this.logger.log(`Draining: waiting up to ${seconds} s for ${pictures}; once more to end at once`);
  }

  private async dispatch(): Promise<void> {
    const { draining } = this.drain;
    await this.whileItFails(() => this.queue.start(this.rescuer.rescue));
    while (!draining.aborted) {
      const lease = await this.take();
      if (!lease) continue;
      const run = this.begin(lease);
      await Promise.race([run.begun, this.setAside(run)]);
      // The pipeline may learn of a shutdown before this class does: the job that it gave back would come at once again.
      if (run.shutDown) return;
    }
  }

  private get works(): boolean {
    return this.pipeline.draws && !this.uploads.refusal;
  }

  /** Before an engine is ready it is not known what there is, such as LoRAs; and other processes may be ready. */
  private async take(): Promise<JobLease | undefined> {
    const { draining } = this.drain;
    await this.room();
    do {
      await this.uploads.whenTaken(draining);
      await this.pipeline.whenReady(draining);
      if (draining.aborted) return undefined;
    } while (!this.works);
    const { signal } = (this.able = new AbortController());
    return this.whileItFails(() => this.turns.take(signal, () => this.idle()));
  }

  private async room(): Promise<void> {
    for (;;) {
      const storing = [...this.runs].filter((run) => run.storing);
      if (storing.length < MOST_STORING) return;
      await Promise.race(storing.map((run) => run.ended));
    }
  }

  /** No run has an engine, nor waits for one. */
  private async idle(): Promise<void> {
    await Promise.all([...this.runs].map((run) => run.drawn));
  }

  /** Takes nothing, and gives back what is not begun: a job must not wait here while other processes could draw it. */
  private unready(): void {
    this.able.abort();
    for (const run of this.runs) run.unready();
  }

  /**
   * A picture that only the larger engines draw does not keep the others waiting, nor for a while one whose LoRAs are yet
   * to be merged. Resolves when it is aside, one at a time.
   */
  private async setAside(run: JobRun): Promise<void> {
    await run.picky;
    while (this.aside) await this.aside.begun;
    this.aside = run;
    void run.begun.then(() => (this.aside = undefined));
  }

  private async drawnElsewhere({ width, height }: Size): Promise<boolean> {
    const workers = (await this.presence?.list()) ?? [];
    return workers.some(({ mostPixels = Infinity }) => width * height <= mostPixels);
  }

  private begin(lease: JobLease): JobRun {
    const { jobs, rescuer, events, files, faces, pipeline } = this;
    const drawnElsewhere = (size: Size) => this.drawnElsewhere(size);
    const run = new JobRun(
      lease,
      { jobs, rescuer, events, files, faces, pipeline, drawnElsewhere },
      this.drain.expired,
    );
    this.runs.add(run);
    void run.ended.finally(() => this.runs.delete(run));
    if (this.drain.draining.aborted) run.drain();
    if (!this.works) run.unready();
    return run;
  }

  /** Redis may be away for a while. */
  private async whileItFails<T>(attempt: () => Promise<T>): Promise<T | undefined> {
    const { draining } = this.drain;
    while (!draining.aborted) {
      try {
        return await attempt();
      } catch (error) {
        this.logger.error({ err: error }, 'The queue cannot be reached');
        await sleep(PAUSE, undefined, { signal: draining }).catch(() => {});
      }
    }
    return undefined;
  }
}
