import type { ErrorCode } from '@app/errors';

/* What routes of one kind can be answered with, beside what every route can (api.errors.dto.ts). */

const group = <T extends ErrorCode>(...codes: T[]): readonly T[] => codes;

/** Looks something up in the storage or among the records. */
export const LOOKUP_ERRORS = group('invalid_request', 'not_found', 'storage_unavailable');

/** Concerns one job. */
export const JOB_ERRORS = group('invalid_request', 'job_not_found', 'storage_unavailable');

/** Takes a user's picture. */
export const USER_PICTURE_ERRORS = group(
  'invalid_request',
  'not_found',
  'request_timeout',
  'cancelled',
  'payload_too_large',
  'unsupported_picture',
  'queue_full',
  'storage_unavailable',
  'draining',
);

/** Has a picture drawn. */
export const DRAWING_ERRORS = group(
  'invalid_request',
  'not_found',
  'model_not_found',
  'lora_not_found',
  'upscaler_not_found',
  'control_net_not_found',
  'request_timeout',
  'cancelled',
  'payload_too_large',
  'unsupported_picture',
  'ip_adapter_disabled',
  'photo_maker_disabled',
  'faces_disabled',
  'no_face',
  'lora_disabled',
  'lora_not_applied',
  'upscaler_not_applied',
  'idempotency_mismatch',
  'result_gone',
  'caller_queue_full',
  'generation_failed',
  'out_of_memory',
  'engine_crashed',
  'queue_full',
  'engine_not_ready',
  'storage_unavailable',
  'draining',
  'deadline_exceeded',
);
