import { get } from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';
import { ResultsController } from './results.controller';

describe(ResultsController.name, () => {
  let api: Api;
  const ask = (path: string) => http(api.url).get(path);

  beforeAll(async () => {
    api = await startApi();
    await api.storage.put('generated/ann/memory_1.png', Buffer.from('picture'), 'image/png');
    await api.storage.put('generated/2.png', Buffer.from('other'), 'image/png');
    await api.storage.put('avatars/ann.png', Buffer.from('secret'), 'image/png');
  });
  afterAll(() => api.close());

  it('should stream a result with its type and cache headers', async () => {
    const { status, body, headers } = await ask('/images/generated/ann/memory_1.png');
    expect(status).toBe(200);
    expect((body as Buffer).toString()).toBe('picture');
    expect(headers).toMatchObject({
      'content-type': 'image/png',
      'content-length': '7',
      'cache-control': 'private, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
      etag: expect.stringMatching(/^".+"$/) as string,
    });
    expect((await ask('/images/generated/2.png')).status).toBe(200);
  });

  it('should answer 304 to the ETag, and only to it', async () => {
    const { etag } = (await ask('/images/generated/2.png')).headers;
    const unchanged = await ask('/images/generated/2.png').set('If-None-Match', etag);
    expect(unchanged.status).toBe(304);
    expect(unchanged.headers.etag).toBe(etag);
    expect((await ask('/images/generated/2.png').set('If-None-Match', '"x"')).status).toBe(200);
  });

  it('should answer HEAD without a body', async () => {
    const { status, headers, body } = await http(api.url).head('/images/generated/2.png');
    expect(status).toBe(200);
    expect(headers['content-length']).toBe('5');
    expect(body).toEqual({});
  });

  it.each([
    '/images/avatars/ann.png',
    '/images/generated/../avatars/ann.png',
    '/images/generated/%2e%2e/avatars/ann.png',
    '/images/generated/..%2favatars%2fann.png',
    '/images/generated%2f..%2favatars/ann.png',
    '/images/generated/..%5cavatars/ann.png',
    '/images/generated//ann/memory_1.png',
    '/images/generated/ann%2fmemory_1.png',
    '/images/generated/ann/',
    '/images/generated/ann',
    '/images/generated/',
    '/images/generated/ann/memory_1.png%00',
    '/images/generated/ann/memory_',
    '/images//etc/passwd',
    '/images/',
    '/images',
  ])('should find nothing at %s', async (path) => {
    // Not through supertest, which would resolve the dots itself.
    const { status, body } = await raw(api.url, path);
    expect(status).toBe(404);
    expect(body).toContain('"not_found"');
  });

  it('should cut the reply when the storage breaks off, and free the storage when the client leaves', async () => {
    const body = new Readable({ read: () => undefined });
    const info = { key: 'k', size: 100, lastModified: new Date(), etag: '"e"', body };
    const open = jest.spyOn(api.storage, 'open').mockResolvedValue(info);
    const broken = fetch(`${api.url}/images/generated/2.png`).then((reply) => reply.arrayBuffer());
    body.push('half');
    setTimeout(() => body.destroy(new Error('gone')), 50);
    await expect(broken).rejects.toThrow();

    const endless = new Readable({ read: () => undefined });
    open.mockResolvedValue({ ...info, body: endless });
    const closed = new Promise((resolve) => endless.once('close', resolve));
    const call = get(`${api.url}/images/generated/2.png`, (response) => {
      response.on('error', () => undefined);
      call.destroy();
    });
    endless.push('half');
    await closed;
    open.mockRestore();
  });

  it('should cut a client that does not read, and free the storage', async () => {
    const impatient = await startApi({}, { readTimeout: 300 });
    const size = 64 * 1024 * 1024; // more than the kernels take
    const body = Readable.from(
      (function* () {
        for (let sent = 0; sent < size; sent += 65_536) yield Buffer.alloc(65_536);
      })(),
    );
    const info = { key: 'k', size, lastModified: new Date(), etag: '"e"', body };
    jest.spyOn(impatient.storage, 'open').mockResolvedValue(info);
    const freed = new Promise((resolve) => body.once('close', resolve));
    const { hostname, port } = new URL(impatient.url);
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    socket.write('GET /images/generated/2.png HTTP/1.1\r\nHost: x\r\n\r\n');
    socket.pause();
    await freed;
    expect(body.readableEnded).toBe(false);
    socket.destroy();
    await impatient.close();
  });
});

function raw(url: string, path: string): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    get({ hostname, port, path }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode!, body }));
    }).on('error', reject);
  });
}
