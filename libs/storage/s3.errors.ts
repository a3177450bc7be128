import { ServiceError, tellFailure } from '@app/errors';
import { tlsRemedy } from '@app/outbound';

const CREDENTIALS = 'check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const REACH = 'check S3_ENDPOINT and the network to it';
const HOST_STYLE = 'set S3_PATH_STYLE=false: the server wants the bucket before its host';
const REGION = 'check AWS_REGION and S3_ENDPOINT: the bucket is in another region';

/** What to check, by the name or system code of the error. */
const REMEDIES: Record<string, string> = {
  NoSuchBucket: 'check S3_BUCKET_NAME: there is no such bucket',
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  InvalidToken: `${CREDENTIALS}, and AWS_SESSION_TOKEN`,
  ExpiredToken:
    'the credentials have expired: set AWS_SESSION_TOKEN and the keys anew, or give the machine a role',
  SecondLevelDomainForbidden: HOST_STYLE,
  PathStyleDomainForbidden: HOST_STYLE,
  CredentialsProviderError: `${CREDENTIALS}, or give the machine a role: no credentials were found`,
  AccessDenied:
    "check the bucket's policy: it must allow s3:ListBucket, GetObject, PutObject and DeleteObject",
  RequestTimeTooSkewed: "check this machine's clock",
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  SlowDown: 'the server is overloaded',
  TimeoutError: REACH,
  AbortError: REACH,
  ECONNREFUSED: REACH,
  ECONNRESET: REACH,
  ENOTFOUND: REACH,
  EAI_AGAIN: REACH,
};

/** Where a reply has no code of S3: some servers, and proxies before them. */
const BY_STATUS: Record<number, string> = {
  301: REGION,
  403: `${CREDENTIALS} and the bucket's policy`,
  404: REMEDIES.NoSuchBucket,
  429: REMEDIES.SlowDown,
  503: REMEDIES.SlowDown,
};

interface Failure {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** The reply was that there is no such object. Servers spell it in several ways, but a missing bucket is another thing. */
export function isNoSuchKey(error: unknown): boolean {
  const { name, $metadata } = error as Failure;
  return name === 'NoSuchKey' || ($metadata?.httpStatusCode === 404 && name !== 'NoSuchBucket');
}

const statusOf = (error: unknown) => (error as Failure).$metadata?.httpStatusCode;

/** There is an object, and the write was to replace none. */
export const isTaken = (error: unknown): boolean => statusOf(error) === 412;

/** Another write or delete of the key was under way: AWS tells nobody then who was first. */
export const isConflict = (error: unknown): boolean => statusOf(error) === 409;

/** A reply without a word about its reason: only the status says anything. */
export function isUnexplained(error: unknown): boolean {
  const { name, code, $metadata } = error as Failure;
  return $metadata?.httpStatusCode !== undefined && !REMEDIES[code ?? ''] && !REMEDIES[name ?? ''];
}

/** The ServiceError for a failed call. Names the variables to check, never their values. */
export function s3Unavailable(action: string, error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  tellFailure({ of: 'storage', what: action });
  const { name, code, $metadata } = error as Failure;
  const status = $metadata?.httpStatusCode;
  const remedy =
    REMEDIES[code ?? ''] ??
    REMEDIES[name ?? ''] ??
    tlsRemedy(code) ??
    BY_STATUS[status ?? 0] ??
    'see the log for the cause';
  const what = [code ?? name ?? 'unknown error', status].filter(Boolean).join(', ');
  return new ServiceError(
    'storage_unavailable',
    `The S3 storage cannot ${action} (${what}): ${remedy}.`,
    undefined,
    { cause: error },
  );
}
