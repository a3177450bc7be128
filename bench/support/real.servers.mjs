/** The servers of the tests, for benchmarks and checks. */
import { createRequire } from 'node:module';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

const load = createRequire(import.meta.url);
load('../../test/support/typescript.js');
/** @type {typeof import('../../test/support/redis.server.js')} */
export const { RedisServer } = load('../../test/support/redis.server.ts');
/** @type {typeof import('../../test/support/s3.gateway.js')} */
export const { startS3Gateway } = load('../../test/support/s3.gateway.ts');
/** @type {typeof import('../../test/support/tcp.proxy.js')} */
export const { TcpProxy } = load('../../test/support/tcp.proxy.ts');

/** @type {typeof import('../../test/support/otlp.receiver.js')} */
export const { OtlpReceiver } = load('../../test/support/otlp.receiver.ts');
/** @type {typeof import('../../test/support/webhook.receiver.js')} */
export const { WebhookReceiver } = load('../../test/support/webhook.receiver.ts');
/** @type {typeof import('../../test/support/ports.js')} */
export const { freePorts } = load('../../test/support/ports.ts');

const BUCKET = 'pictures';

/**
 * Makes a bucket and resolves to the service's variables for it.
 *
 * @param {import('../../test/support/s3.gateway.js').S3Gateway} gateway
 */
export async function createBucket({ endpoint, accessKeyId, secretAccessKey }) {
  const credentials = { accessKeyId, secretAccessKey };
  const region = 'us-east-1';
  const s3 = new S3Client({ endpoint, region, forcePathStyle: true, credentials });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  s3.destroy();
  return {
    ...{ S3_ENDPOINT: endpoint, S3_BUCKET_NAME: BUCKET, AWS_REGION: region },
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
  };
}
