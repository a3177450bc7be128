import { Counter, Histogram, type Registry } from 'prom-client';
import { samplingSteps } from '@app/models/family';
import {
  isFinished,
  outcomeOf,
  PICTURE_ROUTES,
  traceIdOf,
  type Jobs,
  type JobRecord,
  type WebhookDelivery,
} from '@app/jobs';

/** Seconds in the queue: from a free engine to an hour behind others. */
const WAITS = [0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];

/** Seconds of a phase: from a prompt on a GPU to the sampling on a processor. */
const PHASES = [0.01, 0.03, 0.1, 0.3, 1, 3, 5, 10, 20, 30, 60, 120, 300, 600];

const ATTEMPTS: Record<WebhookDelivery['status'], string> = {
  delivered: 'delivered',
  failed: 'failed',
  pending: 'retried',
};

/** Outcomes that alerts and the dashboard ask for. */
const OUTCOMES = [
  ...['succeeded', 'cancelled', 'generation_failed', 'out_of_memory', 'engine_crashed', 'internal_error'],
  'storage_unavailable',
];

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
    enableExemplars: true,
    registers,
  });
  const attempts = new Counter({
    name: 'image_webhook_attempts_total',
    help: 'Attempts to deliver a webhook: "delivered", "retried" later, or "failed" for good',
    labelNames: ['outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'image_job_duration_seconds',
    help: 'From the acceptance of a job that succeeded until its image was stored',
    labelNames: ['route'],
    buckets: WAITS,
    enableExemplars: true,
    registers,
  });
  const phases = new Histogram({
    name: 'image_job_phase_seconds',
    help: 'Parts of the jobs that succeeded: "text", "image" (the reference picture), "sampling", "decode", "faces", "encode", "store"',
    labelNames: ['phase'],
    buckets: PHASES,
    enableExemplars: true,
    registers,
  });
  const steps = new Counter({
    name: 'image_sampling_steps_total',
    help: 'Sampling steps of the jobs that succeeded',
    registers,
  });
  const merges = new Counter({
    name: 'image_lora_merges_total',
    help: 'Jobs that succeeded for which the LoRAs in the weights were changed (LORA_MODE=merged)',
    registers,
  });
  const redraws = new Counter({
    name: 'image_redraws_total',
    help: 'Images that were drawn once more by the same run: "in_tiles", as memory ran out, or "elsewhere", by another engine',
    labelNames: ['how'],
    registers,
  });
  // From the start, at 0: for Prometheus a counter that appears with its first event has not increased.
  for (const route of PICTURE_ROUTES) {
    accepted.inc({ route }, 0);
    for (const outcome of OUTCOMES) finished.inc({ route, outcome }, 0);
  }
  for (const outcome of Object.values(ATTEMPTS)) attempts.inc({ outcome }, 0);
  for (const how of ['in_tiles', 'elsewhere']) redraws.inc({ how }, 0);
  const observe = (job: JobRecord) => {
    const { picture, result } = job;
    if (!result) return;
    const { timings, mergedAnew } = result;
    const exemplarLabels = exemplarOf(job);
    const { route } = picture;
    durations.observe({ labels: { route }, value: timings.total_ms / 1000, exemplarLabels });
    for (const phase of ['text', 'image', 'sampling', 'decode', 'faces', 'encode', 'store'] as const) {
      phases.observe({ labels: { phase }, value: (timings[`${phase}_ms`] ?? 0) / 1000, exemplarLabels });
    }
    const { count = 1 } = picture;
    const { tries = 1, paintedFaces } = result;
    steps.inc(samplingSteps({ ...picture, count: count * tries, paintedFaces }));
    if (mergedAnew) merges.inc();
  };
  jobs.news.on('change', (job) => {
    const { route } = job.picture;
    if (job.state === 'succeeded') observe(job);
    if (isFinished(job)) finished.inc({ route, outcome: outcomeOf(job) });
    else if (job.attempts === 0) accepted.inc({ route });
    else if (job.attempts === 1 && job.startedAt !== undefined) {
      const value = (job.startedAt - job.createdAt) / 1000;
      waits.observe({ labels: { route }, value, exemplarLabels: exemplarOf(job) });
    }
  });
  jobs.news.on('redrawn', (how) => redraws.inc({ how }));
  jobs.news.on('attempt', ({ status }) => attempts.inc({ outcome: ATTEMPTS[status] }));
}

/** Where to look on: the job, and its trace where one is recorded. */
function exemplarOf({ id, trace }: JobRecord): Record<string, string> {
  const trace_id = traceIdOf(trace);
  return { job_id: id, ...(trace_id && { trace_id }) };
}
