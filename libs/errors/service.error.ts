/** How an error code is answered: its HTTP status, its OpenAI-style type, and whether a retry can help. */
export interface ErrorRule {
  readonly status: number;
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'permission_error'
    | 'not_found_error'
    | 'rate_limit_error'
    | 'server_error';
  /** true: the same request may succeed later; the reply carries Retry-After. */
  readonly retry: boolean;
  /** The code that callers see, where it is another: one code, two statuses. */
  readonly shownAs?: string;
}

const invalid = (status: number): ErrorRule => ({ status, type: 'invalid_request_error', retry: false });
const missing: ErrorRule = { status: 404, type: 'not_found_error', retry: false };
const fault = (status: number, retry: boolean): ErrorRule => ({ status, type: 'server_error', retry });

/** Every error code that the service answers with. The one source of status codes; the API docs list it. */
export const ERRORS = {
  invalid_request: invalid(400),
  unauthorized: { status: 401, type: 'authentication_error', retry: false },
  forbidden: { status: 403, type: 'permission_error', retry: false },
  not_found: missing,
  avatar_not_found: missing,
  photo_not_found: missing,
  lora_not_found: missing,
  job_not_found: missing,
  method_not_allowed: invalid(405),
  request_timeout: { status: 408, type: 'invalid_request_error', retry: true },
  cancelled: invalid(409),
  job_finished: invalid(409),
  payload_too_large: invalid(413),
  unsupported_picture: invalid(422),
  ip_adapter_disabled: invalid(422),
  lora_disabled: invalid(422),
  lora_not_applied: invalid(422),
  idempotency_mismatch: invalid(422),
  rate_limited: { status: 429, type: 'rate_limit_error', retry: true },
  headers_too_large: invalid(431),
  caller_queue_full: { status: 429, type: 'rate_limit_error', retry: true, shownAs: 'queue_full' },
  generation_failed: fault(500, false),
  out_of_memory: fault(500, false),
  engine_crashed: fault(500, false),
  internal_error: fault(500, false),
  queue_full: fault(503, true),
  engine_not_ready: fault(503, true),
  storage_unavailable: fault(503, true),
  draining: fault(503, true),
  deadline_exceeded: fault(504, false),
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * The one error class of the service. `message` is for the caller: it says what was expected and what came.
 * Anything thrown that is not a ServiceError is a defect and is answered as `internal_error`.
 */
export class ServiceError extends Error {
  /** Seconds after which a retry makes sense, for errors whose rule says `retry`. */
  readonly retryAfter?: number;

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** The request field that is to blame, where there is one. */
    readonly param?: string,
    options: ErrorOptions & { readonly retryAfter?: number } = {},
  ) {
    super(message, options);
    this.name = 'ServiceError';
    this.retryAfter = options.retryAfter;
  }
}
