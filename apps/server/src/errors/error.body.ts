import { ERRORS, type ErrorRule, type ServiceError } from '@app/errors';
import type { ErrorDetail, ErrorReply } from './api.errors.dto';

/** Seconds after which a retry makes sense, where the error does not say. */
const RETRY_AFTER = 5;
/** OpenAI's clients do not wait longer than a minute: told to, they come back at once. */
export const LONGEST_RETRY_AFTER = 60;

/** The one shape of errors: in replies, jobs and event streams. */
export function errorDetail({
  code,
  message,
  param = null,
}: Pick<ServiceError, 'code' | 'message'> & { readonly param?: string | null }): ErrorDetail {
  const { type, shownAs = code }: ErrorRule = ERRORS[code];
  return { message, type, param, code: shownAs };
}

export const errorBody = (error: ServiceError, requestId: string): ErrorReply => ({
  error: errorDetail(error),
  request_id: requestId,
});

/** Whether, and when, the same request may succeed: name and value of a header. */
export const retryHeader = ({ code, retryAfter = RETRY_AFTER }: ServiceError): [string, string] =>
  ERRORS[code].retry
    ? ['Retry-After', String(Math.min(retryAfter, LONGEST_RETRY_AFTER))]
    : ['x-should-retry', 'false'];
