import type { components } from './openapi.types';

type Detail = components['schemas']['ErrorDetail'];

/** The service refused a request, or a job ended without a picture. */
export class ImageServiceError extends Error {
  override readonly name = 'ImageServiceError';
  /** For programs: `invalid_request`, `queue_full`, … Absent where something before the service answered. */
  readonly code?: string;
  readonly type?: string;
  /** The request field to blame. */
  readonly param?: string;

  constructor(
    { message, code, type, param }: Partial<Detail>,
    /** The HTTP status; absent: the job was accepted, and failed later. */
    readonly status?: number,
    /** What the service's log calls the request. */
    readonly requestId?: string,
    /** Seconds after which the same request may succeed; absent: it will not. */
    readonly retryAfter?: number,
  ) {
    super(message ?? `The service answered ${status}`);
    this.code = code;
    this.type = type;
    this.param = param ?? undefined;
  }
}

interface Result<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

/** What a call of `client.routes` brought. Throws ImageServiceError where that is an error. */
export function unwrap<T>({ data, error, response }: Result<T>): T {
  if (!response.ok) throw refusal(response, error);
  return data as T;
}

export function refusal(response: Response, body: unknown): ImageServiceError {
  const { headers, status } = response;
  // A proxy's error may be of any shape.
  const detail = (body as { error?: Partial<Detail> } | undefined)?.error;
  return new ImageServiceError(
    typeof detail === 'object' ? detail : {},
    status,
    headers.get('x-request-id') ?? undefined,
    retryAfter(response),
  );
}

/** The service's one rule: the same request may succeed after that many seconds, or never. */
export function retryAfter({ headers }: Response): number | undefined {
  const seconds = Number(headers.get('retry-after') ?? NaN);
  return seconds >= 0 ? seconds : undefined;
}
