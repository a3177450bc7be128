import { ServiceError } from '@app/errors';

const CREDENTIALS = 'check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const REACH = 'check S3_ENDPOINT and the network to it';
const REGION = 'check AWS_REGION and S3_ENDPOINT: the bucket is in another region';

/** What to check, by the name or system code of the error. */
const REMEDIES: Record<string, string> = {
  NoSuchBucket: 'check S3_BUCKET_NAME: there is no such bucket',
  InvalidAccessKeyId: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  ExpiredToken: CREDENTIALS,
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

/** Replies to HEAD have no body, so only the status says anything. */
const BY_STATUS: Record<number, string> = {
  301: REGION,
  400: REGION,
  403: `${CREDENTIALS} and the bucket's policy`,
  404: REMEDIES.NoSuchBucket,
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

/** The ServiceError for a failed call. Names the variables to check, never their values. */
export function s3Unavailable(action: string, error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const { name, code, $metadata } = error as Failure;
  const status = $metadata?.httpStatusCode;
  const remedy =
    REMEDIES[code ?? ''] ?? REMEDIES[name ?? ''] ?? BY_STATUS[status ?? 0] ?? 'see the log for the cause';
  const what = [code ?? name ?? 'unknown error', status].filter(Boolean).join(', ');
  return new ServiceError(
    'storage_unavailable',
    `The S3 storage cannot ${action} (${what}): ${remedy}.`,
    undefined,
    { cause: error },
  );
}
