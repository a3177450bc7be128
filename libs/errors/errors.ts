/** How an error code is answered, and what it means. */
export interface ErrorRule {
  readonly status: number;
  /** As OpenAI has them. */
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'permission_error'
    | 'not_found_error'
    | 'rate_limit_error'
    | 'server_error';
  /** true: the same request may succeed later; the reply carries Retry-After. */
  readonly retry: boolean;
  /** For the API document. */
  readonly meaning: string;
  /** The code that callers see, where it is another: one code, two statuses. */
  readonly shownAs?: string;
}

const invalid = (status: number, meaning: string) =>
  ({ status, type: 'invalid_request_error', retry: false, meaning }) as const;
const missing = (meaning: string) =>
  ({ status: 404, type: 'not_found_error', retry: false, meaning }) as const;
const limit = (meaning: string) => ({ status: 429, type: 'rate_limit_error', retry: true, meaning }) as const;
const fault = (status: number, meaning: string) =>
  ({ status, type: 'server_error', retry: false, meaning }) as const;
const transient = (status: number, meaning: string) =>
  ({ status, type: 'server_error', retry: true, meaning }) as const;

/** Every error code that the service answers with: the one table of them. The API document is made from it. */
export const ERRORS = {
  invalid_request: invalid(400, 'a field breaks its rule, or the body is not what the route takes'),
  unauthorized: {
    status: 401,
    type: 'authentication_error',
    retry: false,
    meaning:
      'the service has keys, and the request carries none that is known (see WWW-Authenticate), nor is it a signed link that is still good',
  },
  forbidden: {
    status: 403,
    type: 'permission_error',
    retry: false,
    meaning: 'the key does not have the scope that the message names',
  },
  not_found: missing('there is nothing here, or nothing that the key may see'),
  avatar_not_found: missing('the user has no avatar'),
  photo_not_found: missing('the user has no photo'),
  lora_not_found: missing('no LoRA has this name'),
  upscaler_not_found: missing('no upscaler has this name'),
  style_not_found: missing('the service has no style of this name'),
  control_net_not_found: missing('no ControlNet has this name, or the service has none'),
  model_not_found: missing('the service has no model of this name'),
  job_not_found: missing('there is no such job, or it finished so long ago that it was forgotten'),
  method_not_allowed: invalid(405, 'the path exists but not with this method; see Allow'),
  request_timeout: { ...invalid(408, 'the request, or its body, did not arrive in time'), retry: true },
  cancelled: invalid(409, 'the request was cancelled before its picture was stored'),
  too_many_photos: invalid(409, 'the user has as many photos as may be: delete one first'),
  result_gone: {
    ...missing('what came of the Idempotency-Key was deleted or forgotten: another key has it drawn again'),
    status: 410,
  },
  payload_too_large: invalid(413, 'the body is too large'),
  unsupported_picture: invalid(422, 'not a complete still PNG, JPEG or WebP picture within the limits'),
  ip_adapter_disabled: invalid(422, 'the service runs without an IP-Adapter'),
  photo_maker_disabled: invalid(422, 'the service runs without PhotoMaker'),
  faces_disabled: invalid(422, 'the service does not look for faces, or does not compare them'),
  no_face: invalid(422, 'no face was found in what was drawn, and require_face asks for one'),
  lora_disabled: invalid(422, 'the service runs without LoRA'),
  lora_not_applied: invalid(
    422,
    'the LoRA does not fit the model, or its weights change nothing or are none that can be computed with',
  ),
  upscaler_not_applied: invalid(422, 'the engine cannot use the upscaler'),
  idempotency_mismatch: invalid(422, 'the Idempotency-Key was used for another request'),
  misdirected_request: invalid(
    421,
    'the service has no keys and answers only under the names of its own machine and SERVICE_URL',
  ),
  rate_limited: limit('as many requests a minute came with this key, or from this address, as may'),
  too_many_connections: limit(
    'as many connections of this address, or requests of this key, are open as may be',
  ),
  headers_too_large: invalid(431, 'the headers are too large'),
  caller_queue_full: { ...limit('as many jobs of this user wait as one may have'), shownAs: 'queue_full' },
  generation_failed: fault(500, 'the engine made no usable picture'),
  out_of_memory: fault(
    500,
    'the picture needs more memory than the device has; the message names a smaller size',
  ),
  engine_crashed: fault(500, 'the engine died twice under this request'),
  internal_error: fault(500, 'a defect of the service'),
  queue_full: transient(503, 'as many jobs of this key, or from this address, wait as it may have'),
  connections_full: {
    ...transient(503, 'as many connections are open as the service takes'),
    shownAs: 'too_many_connections',
  },
  engine_not_ready: transient(503, 'the model is loading, or could not be loaded; the message says which'),
  storage_unavailable: transient(503, 'pictures or records cannot be read or written'),
  draining: transient(503, 'the service is shutting down'),
  deadline_exceeded: fault(504, 'the picture was not done within deadline_seconds'),
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof ERRORS;
