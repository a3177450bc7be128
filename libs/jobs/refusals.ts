import { ServiceError } from '@app/errors';

export const mismatch = () =>
  new ServiceError(
    'idempotency_mismatch',
    'Expected the same route and body as before for this Idempotency-Key but received others',
  );

/** Of an idempotency key: a second picture for it might be one too many. */
export const resultGone = () =>
  new ServiceError(
    'result_gone',
    'What came of this Idempotency-Key is no longer kept; send another key to have it drawn again',
    'Idempotency-Key',
  );

export const userDeleted = (userId: string) =>
  new ServiceError('cancelled', `The data of user ${userId} was deleted while this request waited or ran`);

export const modelGone = (model: string) =>
  new ServiceError(
    'model_not_found',
    `The model "${model}" was taken away (MODELS_FILE) while the job waited; name another`,
    'model',
  );

export const queueFull = (limit: number, seconds: number) =>
  full('queue_full', `${limit} jobs (QUEUE_LIMIT; fewer while others share the queue)`, seconds);

export const callerFull = (limit: number, seconds: number) =>
  full('caller_queue_full', `${limit} jobs of one caller (QUEUE_LIMIT_PER_USER)`, seconds);

const full = (code: 'queue_full' | 'caller_queue_full', most: string, seconds: number) =>
  new ServiceError(code, `Expected at most ${most} at a time; send the request again later`, undefined, {
    retryAfter: seconds,
  });
