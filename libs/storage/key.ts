import { ServiceError } from '@app/errors';

/** First folder name that no key may have: the local driver keeps unfinished writes there. */
export const TEMPORARY_FOLDER = '.tmp';

/** S3's limit for a key. */
const MAX_KEY_BYTES = 1024;
/** What Linux file systems take as one name. */
const MAX_SEGMENT_BYTES = 255;

/**
 * Control characters, halves of surrogate pairs and noncharacters have no form in S3's XML listings, and
 * two different halves would become one file name. A backslash separates folders on some systems.
 */
const FORBIDDEN = /[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\\]/u;

/** What is wrong with a key, or undefined. Both drivers refuse the same keys, so that they can be exchanged. */
function problem(key: string): string | undefined {
  if (key === '') return 'must not be empty';
  if (FORBIDDEN.test(key)) return 'must not hold backslashes, control characters or broken Unicode';
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `must not be longer than ${MAX_KEY_BYTES} bytes`;
  const segments = key.split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
    return 'must be relative, without empty, "." or ".." segments';
  if (segments.some((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES))
    return `must not have segments longer than ${MAX_SEGMENT_BYTES} bytes`;
  if (segments[0] === TEMPORARY_FOLDER) return `must not begin with ${TEMPORARY_FOLDER}/`;
  return undefined;
}

/** Whether a name that was found in the storage can be a key: others put things there too. */
export const isKey = (name: string): boolean => problem(name) === undefined;

/** Throws ServiceError `invalid_request` unless `key` is one that every driver takes. */
export function assertKey(key: string): void {
  const wrong = problem(key);
  if (wrong) throw invalid(`A storage key ${wrong}`, key);
}

/** The same for the prefix of a listing: empty, or the beginning of a key. */
export function assertPrefix(prefix: string): void {
  const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
  const rest = prefix.slice(prefix.lastIndexOf('/') + 1);
  const wrong =
    (prefix.includes('/') ? problem(folder) : undefined) ??
    (FORBIDDEN.test(rest) ? problem(rest) : undefined);
  if (wrong) throw invalid(`The prefix of a storage key ${wrong}`, prefix);
}

const invalid = (rule: string, given: string): ServiceError =>
  new ServiceError('invalid_request', `${rule}, but received ${JSON.stringify(given.slice(0, 100))}`);
