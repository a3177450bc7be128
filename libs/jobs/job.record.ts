import type { ErrorCode } from '@app/errors';
import { SIZE_STEP } from '@app/models/family';
import type { Place } from './fair.share';
import type { PictureJob, PictureResult } from './picture.job';

/**
 * The format of a record. Fields are only ever added, and whoever writes a record back keeps fields that it does not
 * know: so old and new processes work side by side. A job whose picture has a field that older workers would leave out has
 * a higher version than theirs: a worker leaves such jobs to newer ones.
 */
const FIRST_VERSION = 1;
/** The version since which workers heed a field of a picture that may be absent. */
const HEEDED_SINCE: Partial<Record<keyof PictureJob, number>> = {
  clipSkip: 2,
  cache: 3,
  count: 3,
  output: 3,
  imageKey: 3,
  maskKey: 3,
  controlKey: 4,
  sampler: 3,
  scheduler: 3,
  hires: 4,
  upscaler: 4,
  identityStrength: 4,
  candidates: 5,
  allCandidates: 5,
  minLikeness: 5,
  requireFace: 5,
  moreReferenceKeys: 5,
  model: 5,
  faceDetail: 5,
};

/** The version since which workers cut out sizes that the engine does not draw. */
const CUT_SINCE = 4;

/** The highest that this process can run. */
export const JOB_VERSION = Math.max(FIRST_VERSION, CUT_SINCE, ...Object.values(HEEDED_SINCE));

/** The lowest whose workers draw this picture as it was asked for. */
export function versionFor(picture: Partial<PictureJob>): number {
  const fields = Object.keys(HEEDED_SINCE) as (keyof PictureJob)[];
  const since = fields.map((field) => (picture[field] === undefined ? 0 : HEEDED_SINCE[field]!));
  const { width = 0, height = 0 } = picture;
  const isCut = [width, height].some((side) => side % SIZE_STEP !== 0);
  return Math.max(FIRST_VERSION, isCut ? CUT_SINCE : 0, ...since);
}

/** queued -> running | cancelled | expired; running -> succeeded | failed | cancelled | queued (given back, retried). */
export const JOB_STATES = ['queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired'] as const;
export type JobState = (typeof JOB_STATES)[number];

export const isFinished = ({ state }: { readonly state: JobState }): boolean =>
  state !== 'queued' && state !== 'running';

export interface JobError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly param?: string;
}

/** Same key, caller and fingerprint: the same request. */
export interface IdempotencyMark {
  /** The caller's own, 1..255 characters; where callers have keys, behind the name of the key and a colon. */
  readonly key: string;
  /** A hash of route and body. */
  readonly fingerprint: string;
}

export const WEBHOOK_EVENTS = ['job.running', 'job.succeeded', 'job.failed', 'job.cancelled'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

export interface WebhookDelivery {
  readonly event: WebhookEvent;
  /** When it happened; milliseconds since 1970, like every `…At`. */
  readonly at: number;
  readonly attempts: number;
  readonly status: 'pending' | 'delivered' | 'failed';
  /** While pending: not before this. */
  readonly nextAt?: number;
  /** The answer to the last attempt, in a few words: `200`, `timeout`. */
  readonly outcome?: string;
}

export interface Webhook {
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  readonly deliveries: readonly WebhookDelivery[];
}

/** The trace of the request that a job came with (https://www.w3.org/TR/trace-context), as headers carry it. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

const TRACEPARENT = /^\w{2}-(\w{32})-\w{16}-(\w{2})$/;

/** Of a trace that is recorded: others know nothing of its id. */
export function traceIdOf(trace?: TraceContext): string | undefined {
  const [, id, flags] = TRACEPARENT.exec(trace?.traceparent ?? '') ?? [];
  return id !== undefined && (parseInt(flags, 16) & 1) === 1 ? id : undefined;
}

/** Everything that is kept of a job. Survives JSON; holds no pixels. */
export interface JobRecord {
  readonly version: number;
  /** 24 hexadecimal digits. */
  readonly id: string;
  /** Whose share of the queue it takes: the key's, or where there are none the address's. Absent: written by 0.2. */
  readonly account?: string;
  /** Whose part of that share: turns within it, QUEUE_LIMIT_PER_USER and idempotency keys go by this. */
  readonly caller: string;
  readonly state: JobState;
  readonly picture: PictureJob;
  readonly place: Place;
  readonly createdAt: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
  /** Not started by then: expires. Still running then: fails with `deadline_exceeded`. */
  readonly deadlineAt: number;
  /** Times that an engine began it. */
  readonly attempts: number;
  /** Times that its engine died under it. */
  readonly crashes: number;
  readonly result?: PictureResult;
  readonly error?: JobError;
  /** Removed when the key is free for a new job again. */
  readonly idempotency?: IdempotencyMark;
  readonly webhook?: Webhook;
  /** What is done for the job goes on in it, by whichever process. Absent: the request was not traced. */
  readonly trace?: TraceContext;
}

/** A job before it has its place. */
export type JobDraft = Omit<JobRecord, 'place'> & {
  /** Whole number >= 1: the caller's next job begins this much later. */
  readonly cost: number;
};

/** What may happen to a record: pure; undefined where the job's state does not allow it. */
export type Change = (job: JobRecord) => JobRecord | undefined;
