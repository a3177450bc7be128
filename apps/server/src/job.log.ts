import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { isFault, isFinished, Jobs, outcomeOf, traceIdOf, type JobRecord } from '@app/jobs';

/**
 * One line for each job that this process ended: what became of it, and where its time went. Never what it says or whose
 * it is.
 */
@Injectable()
export class JobLog implements OnModuleInit {
  private readonly logger = new Logger('Jobs');

  constructor(private readonly jobs: Jobs) {}

  onModuleInit(): void {
    this.jobs.news.on('change', (job) => {
      if (isFinished(job)) this.tell(job);
    });
  }

  private tell(job: JobRecord): void {
    const { id, picture, attempts, result, createdAt, startedAt, finishedAt = createdAt } = job;
    const line = {
      ...{ job: id, trace_id: traceIdOf(job.trace) },
      ...{ route: picture.route, model: picture.model, outcome: outcomeOf(job), attempts },
      ...{ size: `${picture.width}x${picture.height}`, steps: picture.steps, n: picture.count },
      wait_ms: (startedAt ?? finishedAt) - createdAt,
      total_ms: finishedAt - createdAt,
      timings: result?.timings,
    };
    if (isFault(job)) this.logger.warn(line, 'Job failed');
    else this.logger.log(line, job.error ? 'Job ended without an image' : 'Job succeeded');
  }
}
