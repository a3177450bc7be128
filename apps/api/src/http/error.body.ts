import { ERRORS, type ErrorRule, type ServiceError } from '@app/errors';
import type { ErrorReply } from '../api.errors.dto';

/** The one shape of errors. */
export function errorBody(error: ServiceError, requestId: string): ErrorReply {
  const { type, shownAs = error.code }: ErrorRule = ERRORS[error.code];
  const { message, param = null } = error;
  return { error: { message, type, param, code: shownAs }, request_id: requestId };
}
