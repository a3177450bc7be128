import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import { ERRORS, type ErrorCode, type ErrorRule } from '@app/errors';

export class ErrorDetail {
  /**
   * For people: what was expected and what came.
   * @example "Expected a whole number from 1 to 150 for num_inference_steps but received 0"
   */
  readonly message!: string;

  /** The family of the code. */
  readonly type!: ErrorRule['type'];

  /**
   * The request field to blame, where there is one; nested fields as `loras.0.scale`.
   * @example "num_inference_steps"
   */
  readonly param!: string | null;

  /**
   * For programs.
   * @example "invalid_request"
   */
  readonly code!: string;
}

/** Permanent errors carry `x-should-retry: false`, passing ones `Retry-After`. */
export class ErrorReply {
  /** What went wrong. */
  readonly error!: ErrorDetail;

  /**
   * The id of the request, as in the header `x-request-id` and in the service's log.
   * @example "5f0c6d0e-6a0b-4c39-9c0f-0d8a5a0d3a55"
   */
  readonly request_id!: string;
}

/** What each code means, for the API document. */
const MEANINGS: Record<ErrorCode, string> = {
  invalid_request: 'a field breaks its rule, or the body is not what the route takes',
  unauthorized:
    'the service has keys, and the request carries none that is known (see WWW-Authenticate), nor is it a signed link that is still good',
  forbidden: 'the key lacks the scope that the message names',
  not_found: 'there is nothing here, or nothing that the key may see',
  avatar_not_found: 'the user has no avatar',
  photo_not_found: 'the user has no photo',
  lora_not_found: 'no LoRA has this name',
  job_not_found: 'there is no such job, or it finished so long ago that it was forgotten',
  method_not_allowed: 'the path exists but not with this method; see Allow',
  request_timeout: 'the request, or its body, did not arrive in time',
  cancelled: 'the request was cancelled before its picture was stored',
  job_finished: 'the job is finished: there is nothing to cancel',
  payload_too_large: 'the body is too large',
  headers_too_large: 'the headers are too large',
  unsupported_picture: 'not a complete still PNG, JPEG or WebP picture within the limits',
  ip_adapter_disabled: 'the service runs without an IP-Adapter',
  lora_disabled: 'the service runs without LoRA',
  lora_not_applied: 'the LoRA does not fit the model',
  idempotency_mismatch: 'the Idempotency-Key was used for another request',
  rate_limited: 'as many requests a minute came with this key, or from this address, as may',
  caller_queue_full: 'as many jobs of this caller wait as one may have',
  generation_failed: 'the engine made no usable picture',
  out_of_memory: 'the picture needs more memory than the device has; the message names a smaller size',
  internal_error: 'a defect of the service',
  queue_full: 'as many jobs wait as the service takes',
  engine_not_ready: 'the model is loading, or could not be loaded; the message says which',
  engine_crashed: 'the engine died twice under this request',
  storage_unavailable: 'pictures or records cannot be read or written',
  draining: 'the service is shutting down',
  deadline_exceeded: 'the picture was not done within deadline_seconds',
};

const shown = (code: ErrorCode): string => (ERRORS[code] as ErrorRule).shownAs ?? code;

/** Documents the errors of a route by code, and those that every route has for which a key is needed. */
export const ApiErrors = (...codes: ErrorCode[]) =>
  ApiErrorsWithoutKey(...codes, 'unauthorized', 'forbidden', 'rate_limited');

/** The same for a route that takes no key. One response per status, made from the ERRORS table. */
export function ApiErrorsWithoutKey(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...codes, 'internal_error' as const]) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const responses = [...byStatus].map(([status, group]) => {
    const { retry }: ErrorRule = ERRORS[group[0]];
    return ApiResponse({
      status,
      description: group.map((code) => `\`${shown(code)}\`: ${MEANINGS[code]}`).join('; '),
      headers: retry
        ? { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer', minimum: 1 } } }
        : { 'x-should-retry': { description: 'A retry cannot help', schema: { enum: ['false'] } } },
      content: {
        'application/json': {
          schema: { $ref: getSchemaPath(ErrorReply) },
          examples: Object.fromEntries(
            group.map((code) => [
              shown(code),
              {
                value: {
                  error: { message: MEANINGS[code], type: ERRORS[code].type, param: null, code: shown(code) },
                  request_id: '5f0c6d0e-6a0b-4c39-9c0f-0d8a5a0d3a55',
                },
              },
            ]),
          ),
        },
      },
    });
  });
  return applyDecorators(ApiExtraModels(ErrorReply), ...responses);
}
