import { ServiceError } from '@app/errors';

/** What a caller of a route that is translated calls fields of our own request. */
export type CallersNames = ReadonlyMap<string, string>;

/** An error about a field of our own request, in the caller's words. */
export function inWordsOf(names: CallersNames, error: unknown): unknown {
  if (!(error instanceof ServiceError) || error.param === undefined) return error;
  const name = names.get(error.param);
  if (name === undefined) return error;
  const { code, message, param, retryAfter, cause } = error;
  return new ServiceError(code, message.replace(`for ${param}`, `for ${name}`), name, { cause, retryAfter });
}
