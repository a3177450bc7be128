import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { loadConfig } from '@app/config';
import { s3Client } from './s3.client';
import { s3Unavailable } from './s3.errors';
import { S3Storage } from './s3.storage';
import { openStorage } from './storage.module';

const KEYS = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'not-a-secret' };
const BODY = Buffer.from('a picture');
const STAMPS = { ETag: '"etag"', 'Last-Modified': new Date(0).toUTCString() };

interface Seen {
  readonly request: IncomingMessage;
  readonly body: Buffer;
}

describe(s3Client.name, () => {
  let server: Server | undefined;
  let storage: S3Storage | undefined;
  afterEach(async () => {
    storage?.onApplicationShutdown();
    server?.closeAllConnections();
    if (server) await once(server.close(), 'close');
    server = storage = undefined;
  });

  /** A server that keeps what it was asked, and answers with `answer`. */
  async function serve(answer: RequestListener, env: NodeJS.ProcessEnv = KEYS): Promise<Seen[]> {
    const seen: Seen[] = [];
    server = createServer((request, reply) => {
      void buffer(request).then((body) => {
        seen.push({ request, body });
        answer(request, reply);
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const config = loadConfig({ ...env, S3_ENDPOINT: `http://127.0.0.1:${port}`, S3_BUCKET_NAME: 'bucket' });
    storage = (await openStorage(config)) as S3Storage;
    return seen;
  }
  const linkWith = async (env: NodeJS.ProcessEnv) => {
    storage = (await openStorage(loadConfig({ ...KEYS, S3_BUCKET_NAME: 'bucket', ...env }))) as S3Storage;
    return new URL(await storage.presign('generated/a.png', 60, 'image/png'));
  };

  describe('with temporary credentials', () => {
    const temporary = { ...KEYS, AWS_SESSION_TOKEN: 'session+token/==' };

    it('should send all three parts', async () => {
      const seen = await serve((_request, reply) => reply.end(), temporary);
      await storage!.put('a.png', BODY, 'image/png');
      expect(seen[0].request.headers).toMatchObject({
        'x-amz-security-token': 'session+token/==',
        authorization: expect.stringContaining('x-amz-security-token') as string,
      });
    });

    it('should sign links with all three parts', async () => {
      const link = await linkWith(temporary);
      expect(link.searchParams.get('X-Amz-Security-Token')).toBe('session+token/==');
      expect((await linkWith({})).searchParams.has('X-Amz-Security-Token')).toBe(false);
    });
  });

  it('should put the bucket where the server wants it', async () => {
    const at = async (env: NodeJS.ProcessEnv) => {
      const { host, pathname } = await linkWith(env);
      return host + pathname;
    };
    expect(await at({})).toBe('bucket.s3.us-east-1.amazonaws.com/generated/a.png');
    expect(await at({ S3_PATH_STYLE: 'true' })).toBe('s3.us-east-1.amazonaws.com/bucket/generated/a.png');
    const own = { S3_ENDPOINT: 'https://s3.example.com' };
    expect(await at(own)).toBe('s3.example.com/bucket/generated/a.png');
    expect(await at({ ...own, S3_PATH_STYLE: 'false' })).toBe('bucket.s3.example.com/generated/a.png');
    for (const host of ['oss-cn-hangzhou.aliyuncs.com', 'cos.ap-guangzhou.myqcloud.com'])
      expect(await at({ S3_ENDPOINT: `https://${host}` })).toBe(`bucket.${host}/generated/a.png`);
    // The name of a domain within another is another domain.
    expect(await at({ S3_ENDPOINT: 'https://notaliyuncs.com' })).toBe(
      'notaliyuncs.com/bucket/generated/a.png',
    );
  });

  it('should send a checksum in a header, as buckets with Object Lock demand, and the bare bytes', async () => {
    const seen = await serve((_request, reply) => reply.end());
    await storage!.put('a.png', BODY, 'image/png');
    const [{ request, body }] = seen;
    expect(request.headers['content-md5']).toBe(createHash('md5').update(BODY).digest('base64'));
    expect(request.headers).not.toHaveProperty('x-amz-trailer');
    expect(request.headers).not.toHaveProperty('content-encoding');
    expect(body).toEqual(BODY);
  });

  it('should let both readers have an object of no announced length', async () => {
    await serve((_request, reply) => {
      reply.writeHead(200, STAMPS).write(BODY.subarray(0, 4));
      reply.end(BODY.subarray(4));
    });
    expect(await storage!.read('a.png', 100)).toEqual(BODY);
    const object = await storage!.open('a.png');
    expect(object).toMatchObject({ size: BODY.length, etag: '"etag"' });
    expect(await buffer(object!.body)).toEqual(BODY);
  });

  it('should let neither reader have an object without a date or an ETag', async () => {
    await serve((_request, reply) => reply.writeHead(200, { ETag: '"etag"', 'Content-Length': 2 }).end('ok'));
    for (const read of [storage!.read('a.png', 100), storage!.open('a.png')])
      await expect(read).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  describe('refused', () => {
    const refuse =
      (code: string, status = 403): RequestListener =>
      (request, reply) =>
        void reply
          .writeHead(status, { 'Content-Type': 'application/xml' })
          .end(request.method === 'HEAD' ? undefined : `<Error><Code>${code}</Code></Error>`);

    it.each([
      ['SecondLevelDomainForbidden', 403, /set S3_PATH_STYLE=false/],
      ['PathStyleDomainForbidden', 403, /set S3_PATH_STYLE=false/],
      ['InvalidToken', 400, /AWS_SESSION_TOKEN/],
      ['ExpiredToken', 400, /the credentials have expired/],
      ['AuthorizationHeaderMalformed', 400, /check AWS_REGION/],
      ['MissingContentMD5', 400, /see the log for the cause/],
      ['AccountProblem', 400, /see the log for the cause/],
    ])('should give the same reason for all calls: %s', async (code, status, remedy) => {
      await serve(refuse(code, status));
      const calls = [storage!.check(), storage!.read('a.png', 1), storage!.put('a.png', BODY, 'image/png')];
      for (const call of await Promise.allSettled(calls)) {
        const { message } = (call as PromiseRejectedResult).reason as Error;
        expect(message).toContain(code);
        expect(message).toMatch(remedy);
      }
    });
  });

  it('should name the variable for a certificate of an own authority', () => {
    const error = Object.assign(new Error('no'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
    expect(s3Unavailable('read', error).message).toMatch(/NODE_EXTRA_CA_CERTS/);
  });
});
