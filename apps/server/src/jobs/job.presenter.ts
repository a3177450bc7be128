import { Injectable } from '@nestjs/common';
import { generationOf, isFinished, Jobs, picturesOf, type JobRecord } from '@app/jobs';
import { samplingSteps } from '@app/models/family';
import type { Progress } from '@app/pipeline';
import { errorDetail } from '../errors/error.body';
import type { PictureReply } from './picture.dto';
import { Links } from '../results/links';
import type { JobReply, ProgressReply, WebhookReply } from './jobs.dto';

type Estimate = Awaited<ReturnType<Jobs['estimate']>>;

/** Records -> replies. Links are made on the way out: the service may have moved since, and links may expire. */
@Injectable()
export class JobPresenter {
  constructor(
    private readonly jobs: Jobs,
    private readonly links: Links,
  ) {}

  /** Of a job that succeeded; others have no pictures. */
  async picture({ id, picture, result, finishedAt }: JobRecord): Promise<PictureReply> {
    if (!result || finishedAt === undefined) throw new Error(`The job ${id} has no picture`);
    const { size, timings, warnings, model } = result;
    const data = picturesOf(result).map(async ({ key, s3_uri, seed, likeness = null }) => {
      return { s3_uri, url: await this.links.picture(key), seed, size, likeness };
    });
    return {
      created: seconds(finishedAt),
      id,
      data: await Promise.all(data),
      tries: result.tries ?? 1,
      timings,
      warnings: [...(picture.warnings ?? []), ...warnings],
      generation:
        model === undefined ? null : generationOf(picture, model, picture.candidates && result.seed),
    };
  }

  async job(job: JobRecord): Promise<JobReply> {
    const estimate: Estimate = isFinished(job) ? {} : await this.jobs.estimate(job);
    return {
      id: job.id,
      object: 'job',
      state: job.state,
      route: job.picture.route,
      user_id: job.picture.userId ?? null,
      photos: [...(job.picture.photos ?? [])],
      position: job.state === 'queued' ? (estimate.position ?? null) : null,
      progress: await this.progress(job),
      created_at: seconds(job.createdAt),
      started_at: secondsOrNull(job.startedAt),
      finished_at: secondsOrNull(job.finishedAt),
      estimated_start_at: secondsOrNull(estimate.startAt),
      estimated_end_at: secondsOrNull(estimate.endAt),
      deadline_at: seconds(job.deadlineAt),
      attempts: job.attempts,
      events_url: this.links.events(job.id) ?? null,
      result: job.result ? await this.picture(job) : null,
      error: job.error ? errorDetail(job.error) : null,
      webhook: toWebhook(job),
    };
  }

  private async progress({ id, state, picture }: JobRecord): Promise<ProgressReply | null> {
    const steps = samplingSteps(picture) * (picture.candidates ?? 1);
    if (state === 'succeeded') return { phase: 'done', step: steps, steps, percent: 100 };
    // What a queued job did before its engine died is to be done again.
    const progress = state === 'running' ? await this.jobs.progress(id) : undefined;
    return progress ? toProgress(progress) : null;
  }
}

export const toProgress = ({ phase, step, steps }: Progress): ProgressReply => ({
  phase,
  step,
  steps,
  percent: percent(phase, step, steps),
});

/** The sampling takes nearly all of the time; the last per cent is for the picture that is stored. */
function percent(phase: Progress['phase'], step: number, steps: number): number {
  switch (phase) {
    case 'queued':
    case 'text':
    case 'image':
      return 0;
    case 'sampling':
      return Math.min(99, Math.floor((100 * step) / Math.max(1, steps)));
    case 'decoding':
      return 99;
  }
}

function toWebhook({ webhook }: JobRecord): WebhookReply | null {
  if (!webhook) return null;
  const deliveries = webhook.deliveries.map(({ event, status, attempts, outcome, at }) => ({
    ...{ event, status, attempts },
    outcome: outcome ?? null,
    at: seconds(at),
  }));
  return { host: new URL(webhook.url).host, deliveries };
}

const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000);
const secondsOrNull = (milliseconds?: number): number | null =>
  milliseconds === undefined ? null : seconds(milliseconds);
