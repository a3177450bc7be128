import { Counter, Histogram, type Registry } from 'prom-client';
import { ERRORS, type ErrorRule } from '@app/errors';
import { isFinished, type Jobs, type JobRecord, type WebhookDelivery } from '@app/jobs';

/** Seconds in the queue: from a free engine to an hour behind others. */
const WAITS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

const ATTEMPTS: Record<WebhookDelivery['status'], string> = {
  delivered: 'delivered',
  failed: 'failed',
  pending: 'retried',
};

/** What becomes of jobs, each counted once: by the process that wrote it into the record. */
export function countJobs(jobs: Jobs, registry: Registry): void {
  const registers = [registry];
  const accepted = new Counter({
    name: 'image_jobs_accepted_total',
    help: 'Jobs that this process accepted',
    labelNames: ['route'],
    registers,
  });
  const finished = new Counter({
    name: 'image_jobs_finished_total',
    help: 'Jobs that this process ended, by outcome: "succeeded", or the code of the error',
    labelNames: ['route', 'outcome'],
    registers,
  });
  const waits = new Histogram({
    name: 'image_job_wait_seconds',
    help: 'From the acceptance of a job until an engine begins it for the first time',
    labelNames: ['route'],
    buckets: WAITS,
    registers,
  });
  const attempts = new Counter({
    name: 'image_webhook_attempts_total',
    help: 'Attempts to deliver a webhook: "delivered", "retried" later, or "failed" for good',
    labelNames: ['outcome'],
    registers,
  });
  jobs.news.on('change', (job) => {
    const { route } = job.picture;
    if (isFinished(job)) finished.inc({ route, outcome: outcomeOf(job) });
    else if (job.attempts === 0) accepted.inc({ route });
    else if (job.attempts === 1 && job.startedAt !== undefined) {
      waits.observe({ route }, (job.startedAt - job.createdAt) / 1000);
    }
  });
  jobs.news.on('attempt', ({ status }) => attempts.inc({ outcome: ATTEMPTS[status] }));
}

/** As callers see it. */
function outcomeOf({ error }: JobRecord): string {
  if (!error) return 'succeeded';
  const rule = ERRORS[error.code] as ErrorRule | undefined; // none: of a newer process
  return rule?.shownAs ?? error.code;
}
