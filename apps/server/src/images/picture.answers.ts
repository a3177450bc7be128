import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { Config, pathPrefix } from '@app/config';
import { ServiceError } from '@app/errors';
import { isFinished, type JobRecord } from '@app/jobs';
import { JobPresenter } from '../jobs/job.presenter';
import type { PictureOutcome } from './images.service';

/** What became of a picture request -> its reply. */
@Injectable()
export class PictureAnswers {
  constructor(
    private readonly config: Config,
    private readonly presenter: JobPresenter,
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
    // The document describes both shapes, by status.
    return (await this.presenter.job(job)) as unknown as Reply;
  }
}

/** Throws why a finished job has no picture. */
export function assertSucceeded({ state, error }: JobRecord): void {
  if (state === 'succeeded') return;
  const { code, message, param } = error!;
  throw new ServiceError(code, message, param);
}
