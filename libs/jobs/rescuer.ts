import { Injectable, Logger } from '@nestjs/common';
import type { Orphan } from './job.queue';
import type { JobRecord } from './job.record';
import { Jobs } from './jobs.service';

/**
 * Gives back the jobs of processes that died. Queues find them and workers are handed them; only here does their record
 * change, so one that has used up its attempts fails as any other does: announced and tidied up.
 */
@Injectable()
export class Rescuer {
  private readonly logger = new Logger('Rescuer');

  constructor(private readonly jobs: Jobs) {}

  /** Resolves to the job, queued again or failed; undefined when it went on meanwhile. */
  readonly rescue = async ({ id, attempts }: Orphan): Promise<JobRecord | undefined> => {
    const job = await this.jobs.giveBack(id, attempts);
    if (job)
      this.logger.warn({ job: id, attempts }, `The process that drew a job is gone: it is ${job.state} now`);
    return job;
  };
}
