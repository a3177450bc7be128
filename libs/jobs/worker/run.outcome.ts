import { Logger } from '@nestjs/common';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@app/errors';
import { EngineCrashed } from '@app/pipeline';
import { isFinished, type JobRecord } from '../job.record';
import { deadlineExceeded, toJobError } from '../job.transitions';
import type { Jobs } from '../jobs.service';
import type { ChosenPicture } from './candidates';
import type { JobFiles } from './job.files';
import type { RunStop } from './run.stop';

/** Between attempts to write down what became of a job, in milliseconds. */
const PAUSE = 1_000;

interface Tools {
  readonly jobs: Jobs;
  readonly files: JobFiles;
}

/** What becomes of a job at the end of its run, or of one attempt. */
export class RunOutcome {
  private readonly logger = new Logger('Jobs');

  constructor(
    private readonly tools: Tools,
    private readonly stop: RunStop,
  ) {}

  /** Stores the picture, and takes it away again when the job was cancelled or forgotten meanwhile. */
  async store(job: JobRecord, picture: ChosenPicture, begunAt: number): Promise<void> {
    const { jobs, files } = this.tools;
    try {
      const clock = { waited: job.startedAt! - job.createdAt, begunAt };
      const result = await files.store(job.picture, picture, clock, this.stop);
      if (await this.persist(job.id, () => jobs.succeed(job.id, job.attempts, result))) return;
      const now = await this.persist(job.id, () => jobs.find(job.id));
      if (now && (!isFinished(now) || now.state === 'succeeded')) return;
    } catch (error) {
      await this.settle(job, error);
      if (this.stop.reason !== 'over') return;
    }
    await files.discard(job.picture, this.stop.shutdown);
  }

  /** What a failure means; true: try again. */
  async settle(job: JobRecord, error: unknown): Promise<boolean> {
    const { jobs } = this.tools;
    if (isDraining(error)) this.stop.end('shutdown');
    switch (this.stop.reason) {
      case 'lost':
      case 'over':
      case 'elsewhere':
      case 'unready':
        return false;
      case 'shutdown':
        await this.persist(job.id, () => jobs.giveBack(job.id, job.attempts));
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
    this.logger.error({ job: job.id, attempts: job.attempts, lines: error.lines }, error.message);
    const after = await this.persist(job.id, () =>
      error.begun ? jobs.crash(job.id, job.attempts) : jobs.giveBack(job.id, job.attempts),
    );
    return after?.state === 'queued';
  }

  expire(id: string): Promise<JobRecord | undefined> {
    return this.persist(id, () => this.tools.jobs.expire(id));
  }

  async fail(job: JobRecord, error: unknown): Promise<void> {
    const known = error instanceof ServiceError;
    if (!known) this.logger.error({ err: error, job: job.id }, 'A job failed in an unexpected way');
    const reported = known
      ? error
      : new ServiceError('internal_error', 'The service failed in an unexpected way; its log says why');
    await this.persist(job.id, () => this.tools.jobs.fail(job.id, job.attempts, toJobError(reported)));
  }

  /** What became of a job must be written, however long that takes; unless it is another's by now. */
  private async persist<T>(id: string, write: () => Promise<T>): Promise<T | undefined> {
    for (let failures = 0; ; failures++) {
      try {
        return await write();
      } catch (error) {
        if (this.stop.reason === 'lost' || this.stop.reason === 'shutdown') throw error;
        if (failures === 0)
          this.logger.error({ err: error, job: id }, 'The end of a job cannot be written yet');
        await sleep(PAUSE);
      }
    }
  }
}

/** The pipeline says so, perhaps before this run is asked to stop. */
export const isDraining = (error: unknown): boolean =>
  error instanceof ServiceError && error.code === 'draining';
