import type { HttpAdapterHost } from '@nestjs/core';
import { S3Client } from '@aws-sdk/client-s3';
import { canSign, loadConfig } from '@app/config';
import { S3Storage } from '@app/storage';
import { MemoryStorage } from '../../../../test/support/memory.storage';
import { LinkSigner } from './link.signer';
import { Links } from './links';

const KEY = 'generated/ann@example/memory_1.png';
const PLAIN = 'https://pictures.example/images/generated/ann%40example/memory_1.png';

describe(Links.name, () => {
  const config = (variables: Record<string, string> = {}) =>
    loadConfig({ SERVICE_URL: 'https://pictures.example/', ...variables });
  const listening = (port?: number) =>
    ({
      httpAdapter: { getHttpServer: () => ({ address: () => (port === undefined ? null : { port }) }) },
    }) as unknown as HttpAdapterHost;
  const bucket = () =>
    new S3Storage(
      'bucket',
      new S3Client({
        region: 'us-east-1',
        endpoint: 'https://s3.example',
        forcePathStyle: true,
        credentials: { accessKeyId: 'id', secretAccessKey: 'not-a-secret' },
      }),
    );
  const signer = new LinkSigner('x'.repeat(32), 60);

  it('should lead to this service, under the name that callers use', async () => {
    expect(await new Links(config(), listening(), new MemoryStorage()).picture(KEY)).toBe(PLAIN);
    const unnamed = loadConfig({ PORT: '0' });
    expect(await new Links(unnamed, listening(4321), new MemoryStorage()).picture('a.png')).toBe(
      'http://localhost:4321/images/a.png',
    );
  });

  it('should be signed where there is a signer, and open this key', async () => {
    const links = new Links(config({ URL_EXPIRY: '60' }), listening(), new MemoryStorage(), signer);
    const { href, searchParams } = new URL(await links.picture(KEY));
    expect(href.split('?')[0]).toBe(PLAIN);
    expect(links.secondsLeft(KEY, Object.fromEntries(searchParams))).toBeGreaterThan(58);
    expect(links.secondsLeft('generated/2.png', Object.fromEntries(searchParams))).toBeUndefined();
  });

  it('should lead to the bucket, presigned for URL_EXPIRY, whether or not there are keys', async () => {
    const links = new Links(config({ URL_EXPIRY: '604800' }), listening(), bucket());
    const { origin, pathname, searchParams } = new URL(await links.picture(KEY));
    expect(origin + pathname).toBe('https://s3.example/bucket/generated/ann%40example/memory_1.png');
    expect(searchParams.get('X-Amz-Expires')).toBe('604800');
  });

  it('should stay at this service with a bucket as long as URL_EXPIRY is unset', async () => {
    expect(await new Links(config(), listening(), bucket()).picture(KEY)).toBe(PLAIN);
    expect(await new Links(config(), listening(), bucket(), signer).picture(KEY)).toContain(
      `${PLAIN}?expires=`,
    );
  });

  it.each<[string, Record<string, string>, boolean]>([
    ['no keys', {}, false],
    ['keys, with a secret of its own in DATA_DIR', { API_KEYS: '[]' }, true],
    [
      'keys and processes that share no secret',
      { API_KEYS: '[]', REDIS_URL: 'redis://localhost', S3_BUCKET_NAME: 'pictures', URL_EXPIRY: '60' },
      false,
    ],
    [
      'keys and processes that share one',
      {
        ...{ API_KEYS: '[]', REDIS_URL: 'redis://localhost', S3_BUCKET_NAME: 'pictures' },
        URL_SECRET: 'x'.repeat(32),
      },
      true,
    ],
  ])('should be signed where all processes can: %s', (_what, variables, signs) => {
    expect(canSign(config(variables))).toBe(signs);
  });

  it('should lead to the events of a job where its callers can open that', () => {
    const link = (variables: Record<string, string>, signs?: LinkSigner) =>
      new Links(config(variables), listening(), new MemoryStorage(), signs).events('a1');
    expect(link({})).toBe('https://pictures.example/v1/jobs/a1/events');
    expect(link({ API_KEYS: '[]' }, signer)).toMatch(
      /^https:\/\/pictures\.example\/v1\/jobs\/a1\/events\?expires=/,
    );
    expect(link({ API_KEYS: '[]' })).toBeUndefined();
  });

  it('should open nothing without a signer', () => {
    const links = new Links(config(), listening(), new MemoryStorage());
    expect(links.secondsLeft(KEY, { expires: '9999999999', signature: '' })).toBeUndefined();
  });
});
