import type { ErrorCode } from './errors';

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
