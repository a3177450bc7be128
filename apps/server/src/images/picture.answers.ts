import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { Config, pathPrefix } from '@app/config';
import { ServiceError } from '@app/errors';
import { Capabilities, isFinished, type JobRecord } from '@app/jobs';
import { LONGEST_RETRY_AFTER } from '../errors/error.body';
import { JobPresenter } from '../jobs/job.presenter';
import type { JobReply } from '../jobs/jobs.dto';
import type { PictureOutcome } from './images.service';

/** What became of a picture request -> its reply. */
@Injectable()
export class PictureAnswers {
  constructor(
    private readonly config: Config,
    private readonly presenter: JobPresenter,
    private readonly capabilities: Capabilities,
  ) {}

  /** A finished job is its picture, as `show` has it, or its error, which is thrown; any other is the job itself. */
  async of<Reply>(
    { job, replayed, preference }: PictureOutcome,
    response: Response,
    show: (job: JobRecord) => Promise<Reply>,
  ): Promise<Reply> {
    if (replayed) response.setHeader('Idempotency-Replayed', 'true');
    if (preference !== undefined) response.setHeader('Preference-Applied', preference);
    if (isFinished(job)) {
      assertSucceeded(job);
      return show(job);
    }
    response.status(202).setHeader('Location', `${pathPrefix(this.config)}/v1/jobs/${job.id}`);
    const shown = await this.presenter.job(job);
    response.setHeader('Retry-After', this.secondsLeft(shown));
    // The document describes both shapes, by status.
    return shown as unknown as Reply;
  }

  /** Until the job may be done, as far as is known. */
  private secondsLeft({ estimated_end_at }: JobReply): number {
    if (estimated_end_at === null || !this.capabilities.hasWorkers) return LONGEST_RETRY_AFTER;
    const left = Math.ceil(estimated_end_at - Date.now() / 1000);
    return Math.min(LONGEST_RETRY_AFTER, Math.max(1, left));
  }
}

/** Throws why a finished job has no picture. */
export function assertSucceeded({ state, error }: JobRecord): void {
  if (state === 'succeeded') return;
  const { code, message, param } = error!;
  throw new ServiceError(code, message, param);
}
