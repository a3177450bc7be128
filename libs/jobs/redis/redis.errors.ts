import { ServiceError } from '@app/errors';
import { tlsRemedy } from '@app/outbound';
import { isRefusedDatabase } from './redis.client';

const REACH = 'check REDIS_URL and the network to it';
const CREDENTIALS = 'check the user and the password in REDIS_URL';

/** What to check, by the first word of Redis's reply. */
const REMEDIES: Record<string, string> = {
  NOAUTH: CREDENTIALS,
  WRONGPASS: CREDENTIALS,
  NOPERM: "check the rights of REDIS_URL's user",
  OOM: 'its memory is full',
  MISCONF: 'it cannot write to its disk',
  READONLY: 'it is a replica: REDIS_URL must name the primary',
  LOADING: 'it is reading its data',
};

/** The same for sentinels, by the last of their errors, which ioredis adds to its own. */
const SENTINELS: readonly (readonly [RegExp, string])[] = [
  [/No such master/, 'the sentinels know no primary of the name in REDIS_URL'],
  [/NOAUTH|WRONGPASS/, 'the sentinels want a password: set sentinelPassword in REDIS_URL'],
  [/certificate/i, tlsRemedy('SELF_SIGNED_CERT_IN_CHAIN')!],
  [/^/, 'check the sentinels in REDIS_URL and the network to them'],
];

/** The ServiceError for a failed command. Names the variable to check, never its value. */
export function redisUnavailable(action: 'read' | 'write', error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const { code, message = '' } = error as NodeJS.ErrnoException;
  const reply = /^[A-Z]{3,}(?= )/.exec(message)?.[0];
  const what = (code === 'ABORT_ERR' ? undefined : code) ?? reply ?? 'no answer';
  return new ServiceError(
    'storage_unavailable',
    `Redis cannot ${action} (${what}): ${remedy(error, code, reply, message)}.`,
    undefined,
    { cause: error, retryAfter: 5 },
  );
}

function remedy(
  error: unknown,
  code: string | undefined,
  reply: string | undefined,
  message: string,
): string {
  if (reply && REMEDIES[reply]) return REMEDIES[reply];
  if (isRefusedDatabase(error)) return 'there is no such database: check the number at the end of REDIS_URL';
  if (message.startsWith('All sentinels are unreachable')) {
    return SENTINELS.find(([words]) => words.test(message))![1];
  }
  return tlsRemedy(code) ?? REACH;
}
