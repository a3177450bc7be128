import { S3Client } from '@aws-sdk/client-s3';
import type { Config } from '@app/config';

/** milliseconds */
const CONNECT_TIMEOUT = 3_000;
const REQUEST_TIMEOUT = 30_000;

/** Servers of these domains refuse the bucket in the path. */
const HOST_STYLE_ONLY = /(^|\.)(aliyuncs\.com|myqcloud\.com)$/i;

/** A client for the bucket's server: AWS, or any other at S3_ENDPOINT. `endpoint`: another name of that server. */
export function s3Client(config: Config, endpoint = config.S3_ENDPOINT): S3Client {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = config;
  const { AWS_SESSION_TOKEN: sessionToken } = config;
  return new S3Client({
    region: config.AWS_REGION,
    ...(endpoint ? { endpoint } : {}),
    // Other servers rarely have a DNS name per bucket.
    forcePathStyle: config.S3_PATH_STYLE ?? (endpoint !== undefined && !refusesPathStyle(endpoint)),
    // Left out, the SDK walks its own chain: environment, profile, instance role.
    ...(accessKeyId && secretAccessKey
      ? { credentials: { accessKeyId, secretAccessKey, sessionToken } }
      : {}),
    // The SDK's newer default checksums travel in trailers that other servers refuse or store as content.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 3,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT,
      // Until the reply begins. Without the flag the SDK would only log that it took too long.
      requestTimeout: REQUEST_TIMEOUT,
      throwOnRequestTimeout: true,
      // While the reply's body stands still.
      socketTimeout: REQUEST_TIMEOUT,
      // A picture on its way to a slow caller holds a connection; the SDK's 50 would let 50 of them stop all uploads.
      httpAgent: { maxSockets: 256 },
      httpsAgent: { maxSockets: 256 },
    },
  });
}

const refusesPathStyle = (endpoint: string) => HOST_STYLE_ONLY.test(new URL(endpoint).hostname);
