import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { loadConfig } from '@app/config';
import { s3Client } from './s3.client';
import { S3Storage } from './s3.storage';
import { openStorage } from './storage.module';

const KEYS = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'not-a-secret' };
const BODY = Buffer.from('a picture');

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
    return new URL(await storage.presign('generated/a.png', 60));
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
});
