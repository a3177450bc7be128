import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CreateBucketCommand, HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { loadConfig } from '@app/config';
import { freePorts } from '../../test/support/ports';
import { describeWith } from '../../test/support/requires';
import { S3_GATEWAY, startS3Gateway, type S3Gateway } from '../../test/support/s3.gateway';
import { s3Client } from './s3.client';
import { S3Storage } from './s3.storage';
import { openStorage } from './storage.module';
import { storageContract } from './storage.contract';

const PNG = 'image/png';

const clients: S3Client[] = [];
function connect(
  S3_ENDPOINT: string,
  AWS_ACCESS_KEY_ID = 'key',
  AWS_SECRET_ACCESS_KEY = 'not-a-secret',
): S3Client {
  clients.push(s3Client(loadConfig({ S3_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY })));
  return clients.at(-1)!;
}
afterAll(() => clients.forEach((client) => client.destroy()));

/** Every operation fails with `storage_unavailable` and a message that matches. */
async function expectUnavailable(storage: S3Storage, message: RegExp): Promise<void> {
  const list = async () => {
    for await (const { key } of storage.list('')) throw new Error(`listed ${key}`);
  };
  const failures = await Promise.allSettled([
    storage.put('a.png', Buffer.from('a'), 'image/png'),
    storage.open('a.png'),
    storage.read('a.png', 100),
    storage.delete('a.png'),
    list(),
    storage.check(),
  ]);
  for (const failure of failures) {
    expect(failure).toMatchObject({
      status: 'rejected',
      reason: {
        name: 'ServiceError',
        code: 'storage_unavailable',
        cause: { name: expect.any(String) as string },
      },
    });
    const { reason } = failure as { reason: Error };
    expect(reason.message).toMatch(message);
    expect(reason.message).not.toMatch(/not-a-secret/);
  }
}

describeWith(S3_GATEWAY, `${S3Storage.name} on a real server`, () => {
  let gateway: S3Gateway;
  let client: S3Client;
  let buckets = 0;

  beforeAll(async () => {
    gateway = await startS3Gateway();
    client = connect(gateway.endpoint, gateway.accessKeyId, gateway.secretAccessKey);
  }, 120_000);
  afterAll(() => gateway?.stop(), 30_000);

  async function newBucket(): Promise<S3Storage> {
    const bucket = `bucket-${++buckets}`;
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    return new S3Storage(bucket, client);
  }

  storageContract(S3Storage.name, newBucket);

  it('should list past the first page of 1,000', async () => {
    const storage = await newBucket();
    const keys = Array.from({ length: 1005 }, (_, n) => `generated/${String(n).padStart(4, '0')}.png`);
    const waiting = [...keys];
    const put = async () => {
      for (let key = waiting.pop(); key; key = waiting.pop())
        await storage.put(key, Buffer.from(key), 'image/png');
    };
    await Promise.all(Array.from({ length: 16 }, put));
    const found: string[] = [];
    for await (const { key } of storage.list('generated/')) found.push(key);
    expect(found).toEqual(keys);
  }, 60_000);

  it('should store the content type for readers of the bucket', async () => {
    const storage = await newBucket();
    await storage.put('a.png', Buffer.from('a'), 'image/png');
    const reply = await client.send(new HeadObjectCommand({ Bucket: storage.bucket, Key: 'a.png' }));
    expect(reply.ContentType).toBe('image/png');
  });

  it('should leave out the folders that consoles make', async () => {
    const storage = await newBucket();
    await client.send(
      new PutObjectCommand({ Bucket: storage.bucket, Key: 'avatars/bob/', Body: Buffer.alloc(0) }),
    );
    await storage.put('avatars/bob/a.png', Buffer.from('a'), 'image/png');
    const found: string[] = [];
    for await (const { key } of storage.list('avatars/bob/')) found.push(key);
    expect(found).toEqual(['avatars/bob/a.png']);
  });

  describe('presign', () => {
    const KEY = 'generated/ann/memory_1.png';
    const BYTES = Buffer.from('a picture, any bytes \u{1f5bc}');

    async function withPicture(): Promise<S3Storage> {
      const storage = await newBucket();
      // As another program may have stored it.
      await storage.put(KEY, BYTES, 'text/html');
      await storage.put('generated/2.png', Buffer.from('other'), 'image/png');
      return storage;
    }
    const download = async (link: string) => {
      const reply = await fetch(link);
      return {
        status: reply.status,
        type: reply.headers.get('content-type'),
        body: Buffer.from(await reply.arrayBuffer()),
      };
    };

    it('should make a link that gives the bytes as a picture, without credentials', async () => {
      const storage = await withPicture();
      expect(await download(await storage.presign(KEY, 60, 'image/webp'))).toMatchObject({
        type: 'image/webp',
      });
      const link = await storage.presign(KEY, 60, PNG);
      const { status, type, body } = await download(link);
      expect([status, type]).toEqual([200, 'image/png']);
      expect(body).toEqual(BYTES);
      expect(link).not.toContain(gateway.secretAccessKey);
    });

    it('should make a link for any key that the storage takes', async () => {
      const storage = await newBucket();
      const key = 'a b/naïve+图片/100%.png';
      await storage.put(key, BYTES, 'image/png');
      expect((await download(await storage.presign(key, 60, PNG))).status).toBe(200);
      await expect(storage.presign('../a', 60, PNG)).rejects.toMatchObject({ code: 'invalid_request' });
    });

    it('should end with its time', async () => {
      const storage = await withPicture();
      const link = await storage.presign(KEY, 2, PNG);
      expect((await download(link)).status).toBe(200);
      // The server counts whole seconds.
      await new Promise((resolve) => setTimeout(resolve, 3_100));
      expect((await download(link)).status).toBe(403);
      expect((await download(await storage.presign(KEY, 2, PNG))).status).toBe(200);
    }, 20_000);

    it('should open this object only, for this long, of this type', async () => {
      const link = await (await withPicture()).presign(KEY, 60, PNG);
      for (const altered of [
        link.replace('ann/memory_1.png', '2.png'),
        link.replace('X-Amz-Expires=60', 'X-Amz-Expires=600'),
        link.replace('image%2Fpng', 'text%2Fhtml'),
        link.replace(/X-Amz-Signature=./, (start) => start.slice(0, -1) + (start.endsWith('0') ? '1' : '0')),
        link.replace(/&X-Amz-Signature=\w+/, ''),
        link.split('?')[0],
      ]) {
        expect(altered).not.toBe(link);
        expect([altered, (await download(altered)).status]).toEqual([altered, 403]);
      }
      expect((await fetch(link, { method: 'DELETE' })).status).toBe(403);
      expect((await download(link)).status).toBe(200);
    });

    it('should be made for the host that callers reach', async () => {
      const { bucket } = await withPicture();
      const endpoint = new URL(gateway.endpoint);
      const S3_PUBLIC_ENDPOINT = `http://localhost:${endpoint.port}`;
      const storage = await openStorage(
        loadConfig({
          ...{ S3_BUCKET_NAME: bucket, S3_ENDPOINT: gateway.endpoint, S3_PUBLIC_ENDPOINT },
          ...{ AWS_ACCESS_KEY_ID: gateway.accessKeyId, AWS_SECRET_ACCESS_KEY: gateway.secretAccessKey },
        }),
      );
      try {
        const link = await storage.presign(KEY, 60, PNG);
        expect(link).toMatch(new RegExp(`^${S3_PUBLIC_ENDPOINT}/${bucket}/`));
        expect((await download(link!)).body).toEqual(BYTES);
        // Why it must be: the host is signed.
        expect((await download(link!.replace('localhost', '127.0.0.1'))).status).toBe(403);
        expect((await storage.read(KEY, 100))?.equals(BYTES)).toBe(true);
      } finally {
        (storage as S3Storage).onApplicationShutdown();
      }
    });
  });

  it('should hold nothing against a bucket that comes up later, but say that it is missing', async () => {
    const storage = new S3Storage('comes-later', client);
    await expectUnavailable(storage, /404.*check S3_BUCKET_NAME: there is no such bucket/);
    await client.send(new CreateBucketCommand({ Bucket: storage.bucket }));
    await storage.check();
    expect(await storage.read('a.png', 1)).toBeUndefined();
  });

  it('should name the credentials when they are wrong', async () => {
    const { bucket } = await newBucket();
    const credentials = /403.*check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/;
    await expectUnavailable(
      new S3Storage(bucket, connect(gateway.endpoint, gateway.accessKeyId)),
      credentials,
    );
    await expectUnavailable(new S3Storage(bucket, connect(gateway.endpoint, 'nobody')), credentials);
  });
});

describe(`${S3Storage.name} on a server in trouble`, () => {
  let close: (() => Promise<unknown>) | undefined;
  afterEach(async () => {
    await close?.();
    close = undefined;
  });

  /** A server that answers every request with `answer`; `sockets` are the connections it got. */
  async function serve(answer: RequestListener): Promise<{ storage: S3Storage; sockets: Socket[] }> {
    const sockets: Socket[] = [];
    const server = createServer(answer).on('connection', (socket) => {
      sockets.push(socket);
      // Readers that give up reset the connection; that is what some tests wait for.
      socket.on('error', () => undefined);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    close = () => {
      server.closeAllConnections();
      return once(server.close(), 'close');
    };
    const { port } = server.address() as AddressInfo;
    return { storage: new S3Storage('bucket', connect(`http://127.0.0.1:${port}`)), sockets };
  }

  const headers = { ETag: '"etag"', 'Last-Modified': new Date(0).toUTCString() };

  it('should fail soon when nothing listens, and say what to check', async () => {
    const [port] = await freePorts(1);
    // In a process of its own: the SDK loses the codes of system errors inside jest, whose Error is another class.
    const program = `
      const { s3Client } = require('./libs/storage/s3.client.ts');
      const { S3Storage } = require('./libs/storage/s3.storage.ts');
      const client = s3Client({
        AWS_REGION: 'us-east-1', S3_ENDPOINT: 'http://127.0.0.1:${port}',
        AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'not-a-secret',
      });
      const storage = new S3Storage('bucket', client);
      const list = async () => { for await (const object of storage.list('')) return object; };
      Promise.allSettled([storage.put('a', Buffer.from('a')), storage.read('a', 1), list(), storage.check()])
        .then((all) => console.log(JSON.stringify(all.map(({ reason }) => [reason.code, reason.message]))));`;
    const child = spawn(process.execPath, ['-r', './test/support/typescript.js', '-e', program], {
      cwd: join(__dirname, '../..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const remedy = '(ECONNREFUSED): check S3_ENDPOINT and the network to it.';
    expect(JSON.parse(await text(child.stdout))).toEqual(
      ['write', 'read', 'list', 'be reached'].map((action) => [
        'storage_unavailable',
        `The S3 storage cannot ${action} ${remedy}`,
      ]),
    );
  }, 20_000);

  it('should try again after a fault that passes', async () => {
    let requests = 0;
    const { storage } = await serve((_request, reply) => {
      if (++requests < 3) reply.writeHead(503).end();
      else reply.writeHead(200, { ...headers, 'Content-Length': 2 }).end('ok');
    });
    expect((await storage.read('a.png', 10))?.toString()).toBe('ok');
    expect(requests).toBe(3);
  });

  it('should download nothing of an object that is announced as too large', async () => {
    const { storage, sockets } = await serve((_request, reply) => {
      reply.writeHead(200, { ...headers, 'Content-Length': 1e9 }).write('begun');
    });
    await expect(storage.read('a.png', 100)).rejects.toMatchObject({ code: 'payload_too_large' });
    await closed(sockets[0]);
  });

  it('should stop downloading an object of no announced length at the limit', async () => {
    const { storage, sockets } = await serve((_request, reply) => {
      reply.writeHead(200, headers);
      const more = () => {
        while (!reply.destroyed && reply.write(Buffer.alloc(65_536)));
        if (!reply.destroyed) reply.once('drain', more);
      };
      more();
    });
    await expect(storage.read('a.png', 1_000_000)).rejects.toMatchObject({ code: 'payload_too_large' });
    await closed(sockets[0]);
  });

  it('should not take the beginning of an object for the whole', async () => {
    const { storage } = await serve((_request, reply) => {
      reply.writeHead(200, { ...headers, 'Content-Length': 100 }).write('begun', () => reply.destroy());
    });
    await expect(storage.read('a.png', 100)).rejects.toMatchObject({ code: 'storage_unavailable' });
  });

  it('should free the connection when the reader gives up', async () => {
    const { storage, sockets } = await serve((_request, reply) => {
      reply.writeHead(200, { ...headers, 'Content-Length': 1e9 }).write(Buffer.alloc(100_000));
    });
    const object = await storage.open('a.png');
    await once(object!.body, 'readable');
    object!.body.destroy();
    await closed(sockets[0]);
  });

  it('should refuse a reply without length, date and ETag', async () => {
    const { storage, sockets } = await serve((_request, reply) => {
      reply.writeHead(200).write('begun');
    });
    await expect(storage.open('a.png')).rejects.toMatchObject({ code: 'storage_unavailable' });
    await closed(sockets[0]);
  });

  it('should close its connections when the application shuts down', async () => {
    const { storage, sockets } = await serve((_request, reply) => {
      reply.writeHead(200, { ...headers, 'Content-Length': 2 }).end('ok');
    });
    await storage.read('a.png', 10);
    expect(sockets[0].destroyed).toBe(false);
    storage.onApplicationShutdown();
    await closed(sockets[0]);
  });

  const closed = async (socket: Socket) => {
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
    expect(socket.destroyed).toBe(true);
  };
});
