import { ServiceError } from '@app/errors';

const REACH = 'check REDIS_URL and the network to it';
const CREDENTIALS = 'check the user and the password in REDIS_URL';

/** What to check, by the system code or by the first word of Redis's reply. */
const REMEDIES: Record<string, string> = {
  NOAUTH: CREDENTIALS,
  WRONGPASS: CREDENTIALS,
  NOPERM: "check the rights of REDIS_URL's user",
  OOM: 'its memory is full',
  MISCONF: 'it cannot write to its disk',
  READONLY: 'it is a replica: REDIS_URL must name the primary',
  LOADING: 'it is reading its data',
};

/** The ServiceError for a failed command. Names the variable to check, never its value. */
export function redisUnavailable(action: 'read' | 'write', error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const { code, message = '' } = error as NodeJS.ErrnoException;
  const reply = /^[A-Z]{3,}(?= )/.exec(message)?.[0];
  const what = (code === 'ABORT_ERR' ? undefined : code) ?? reply ?? 'no answer';
  return new ServiceError(
    'storage_unavailable',
    `Redis cannot ${action} (${what}): ${REMEDIES[reply ?? ''] ?? REACH}.`,
    undefined,
    { cause: error, retryAfter: 5 },
  );
}
