import { ERRORS, ServiceError } from '@app/errors';
import { picturesOf, type PictureResult } from './picture.job';
import { isFinished, type Change, type JobError, type JobRecord, type JobState } from './job.record';
import { note } from './webhook.outbox';

/** An engine that dies twice under the same job was killed by it. */
export const MAX_CRASHES = 2;
/** Starts after which a job that never ended is given up: it takes whole machines down with it. */
export const MAX_ATTEMPTS = 10;

/** queued -> running. */
export const start =
  (now: number): Change =>
  (job) => {
    if (job.state !== 'queued' || job.deadlineAt <= now) return undefined;
    return enter(job, 'running', now, { startedAt: now, attempts: job.attempts + 1 });
  };

/** running -> succeeded. `attempt`: the one that made the picture; a later one may be running elsewhere by now. */
export const succeed =
  (result: PictureResult, attempt: number, now: number): Change =>
  (job) =>
    job.state === 'running' && job.attempts === attempt
      ? finish(job, 'succeeded', now, { result })
      : undefined;

/** Some of its pictures were deleted; undefined where it has no others. */
export const without =
  (keys: readonly string[]): Change =>
  (job) => {
    const pictures = job.result ? picturesOf(job.result) : [];
    const [first, ...more] = pictures.filter(({ key }) => !keys.includes(key));
    return first && { ...job, result: { ...job.result!, ...first, more } };
  };

/** running -> failed. */
export const fail =
  (error: JobError, attempt: number, now: number): Change =>
  (job) =>
    job.state === 'running' && job.attempts === attempt ? finish(job, 'failed', now, { error }) : undefined;

/** queued | running -> cancelled. */
export const cancel =
  (message: string, now: number): Change =>
  (job) =>
    isFinished(job) ? undefined : finish(job, 'cancelled', now, { error: { code: 'cancelled', message } });

/** queued -> expired. */
export const expire =
  (now: number): Change =>
  (job) =>
    job.state === 'queued' && job.deadlineAt <= now
      ? finish(job, 'expired', now, { error: toJobError(deadlineExceeded('did not start')) })
      : undefined;

/** running -> queued: its process ends, or died, and that was not the job's fault; -> failed after the last attempt. */
export const giveBack =
  (attempt: number, now: number): Change =>
  (job) =>
    job.state === 'running' && job.attempts === attempt ? retry(job, job.crashes, now) : undefined;

/** running -> queued the first time its engine dies, -> failed the second. */
export const crash =
  (attempt: number, now: number): Change =>
  (job) =>
    job.state === 'running' && job.attempts === attempt ? retry(job, job.crashes + 1, now) : undefined;

export const deadlineExceeded = (what: 'did not start' | 'was not done'): ServiceError =>
  new ServiceError('deadline_exceeded', `The picture ${what} within deadline_seconds`, 'deadline_seconds');

export const toJobError = ({ code, message, param }: ServiceError): JobError => ({
  code,
  message,
  ...(param !== undefined && { param }),
});

function retry(job: JobRecord, crashes: number, now: number): JobRecord {
  if (crashes < MAX_CRASHES && job.attempts < MAX_ATTEMPTS) {
    return { ...job, state: 'queued', startedAt: undefined, crashes };
  }
  const sentence = `The engine process died ${crashes} times, or the service ${job.attempts} times, while it drew this picture`;
  return finish({ ...job, crashes }, 'failed', now, { error: { code: 'engine_crashed', message: sentence } });
}

function finish(job: JobRecord, state: JobState, now: number, outcome: Partial<JobRecord>): JobRecord {
  const finished = enter(job, state, now, { finishedAt: now, ...outcome });
  // A retry may do better: only what would come out the same is kept under the key.
  const keeps = state === 'succeeded' || (state === 'failed' && !ERRORS[outcome.error!.code].retry);
  return keeps ? finished : { ...finished, idempotency: undefined };
}

/** Changes the state, and notes the webhook delivery that this calls for. */
const enter = (job: JobRecord, state: JobState, now: number, more: Partial<JobRecord>): JobRecord =>
  note({ ...job, state, ...more }, now);
