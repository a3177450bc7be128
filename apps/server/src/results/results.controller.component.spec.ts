import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { startApi, type Api } from '../../../../test/support/api';
import { Links } from './links';
import { ResultsController } from './results.controller';

/** There are keys; whose they are does not matter here. */
const KEYS = JSON.stringify([{ name: 'test', sha256: '0'.repeat(64), scopes: ['read'] }]);
const DRAWER = key('drawer', ['draw']);
const OTHER = key('other', ['read'], 'bob');

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

  it.each([
    encodeURIComponent('generated/ann/memory_1.png'),
    'generated%2fann/memory_1.png',
    'generated/ann%2Fmemory_1%2Epng',
  ])('should find a key whose slashes are encoded, as generated clients do: %s', async (key) => {
    const { status, body } = await ask(`/images/${key}`);
    expect(status).toBe(200);
    expect((body as Buffer).toString()).toBe('picture');
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
    '/images/generated%2fann%2f..%2f..%2favatars%2fann.png',
    '/images/generated%252fann%252fmemory_1.png',
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
    body.push('half');
    const broken = await fetch(`${api.url}/images/generated/2.png`);
    body.destroy(new Error('gone'));
    await expect(broken.arrayBuffer()).rejects.toThrow();

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
    const impatient = await startApi({}, { replyTimeout: 300 });
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
    socket.write('GET /images/generated/2.png HTTP/1.1\r\nHost: localhost\r\n\r\n');
    socket.pause();
    await freed;
    expect(body.readableEnded).toBe(false);
    socket.destroy();
    await impatient.close();
  });
});

describe(`${ResultsController.name} where callers need keys`, () => {
  const KEY = 'generated/ann/memory_1.png';
  let api: Api;

  beforeAll(async () => {
    const keys = [...(JSON.parse(KEYS) as unknown[]), DRAWER.entry, OTHER.entry];
    api = await startApi({ API_KEYS: JSON.stringify(keys), URL_EXPIRY: '600' });
    await api.storage.put(KEY, Buffer.from('picture'), 'image/png');
    await api.storage.put('generated/2.png', Buffer.from('other'), 'image/png');
    await api.storage.put('avatars/ann.png', Buffer.from('secret'), 'image/png');
  });
  afterAll(() => api.close());

  const signed = async (key = KEY) => new URL(await api.app.get(Links, { strict: false }).picture(key));
  const ask = async (link: URL) => raw(api.url, link.pathname + link.search);

  it('should open a signed link, which a browser may keep until it ends', async () => {
    const { pathname, search } = await signed();
    const { status, body, headers } = await http(api.url).get(pathname + search);
    expect(status).toBe(200);
    expect((body as Buffer).toString()).toBe('picture');
    const [, age] = /^private, max-age=(\d+), must-revalidate$/.exec(headers['cache-control'])!;
    expect(Number(age)).toBeGreaterThan(590);
    expect(Number(age)).toBeLessThanOrEqual(600);
    await http(api.url)
      .head(pathname + search)
      .expect(200);
    await http(api.url)
      .get(pathname + search)
      .set('If-None-Match', headers.etag)
      .expect(304);
  });

  it.each([
    ['basic authentication of an ingress', 'Basic YWRhOnNlY3JldA=='],
    ['a token of somebody else', 'Bearer eyJhbGciOiJub25lIn0.e30.'],
    ['a key without the scope', DRAWER.header.authorization],
    ["another user's key", OTHER.header.authorization],
    ['nothing that is known', 'x'],
  ])('should judge a signature before what comes beside it: %s', async (_what, authorization) => {
    const { pathname, search } = await signed();
    const get = (path: string) => http(api.url).get(path).set('Authorization', authorization);
    const { body } = await get(pathname + search).expect(200);
    expect((body as Buffer).toString()).toBe('picture');
    await http(api.url)
      .head(pathname + search)
      .set('Authorization', authorization)
      .expect(200);
    for (const path of [pathname, pathname + search.replace(/.$/, ''), `/images/generated/2.png${search}`]) {
      expect([401, 403, 404]).toContain((await get(path)).status);
    }
  });

  it('should tell who sends a key that is not known that it is the key', async () => {
    const { body } = await http(api.url).get(`/images/${KEY}`).set('Authorization', 'Bearer x').expect(401);
    expect(body).toMatchObject({ error: { message: expect.stringContaining('one that is not known') } });
  });

  it('should tell a stranger neither the picture nor whether there is one', async () => {
    const replies = new Set<string>();
    for (const path of [KEY, 'generated/none.png', 'avatars/ann.png', 'x/%2e%2e/y']) {
      const { status, body, headers } = await http(api.url).get(`/images/${path}`);
      expect([path, status]).toEqual([path, 401]);
      expect(body).toMatchObject({ error: { code: 'unauthorized', type: 'authentication_error' } });
      expect(headers).not.toHaveProperty('cache-control');
      replies.add((body as { error: { message: string } }).error.message);
      await http(api.url).head(`/images/${path}`).expect(401);
    }
    expect([...replies]).toEqual([expect.stringContaining('unsigned or has expired')]);
  });

  it('should not give 304 to who knows the ETag only', async () => {
    const { pathname, search } = await signed();
    const { headers } = await http(api.url).get(pathname + search);
    await http(api.url).get(pathname).set('If-None-Match', headers.etag).expect(401);
    await http(api.url).get(pathname).set('If-None-Match', '*').expect(401);
  });

  it('should refuse a link whose time is over', async () => {
    const link = await signed();
    const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 600_000);
    const { status, body } = await ask(link).finally(() => clock.mockRestore());
    expect([status, body]).toEqual([401, expect.stringContaining('"unauthorized"')]);
    expect((await ask(link)).status).toBe(200);
  });

  it.each([
    '/images/generated/2.png',
    '/images/avatars/ann.png',
    '/images/generated/ann/../2.png',
    '/images/generated/ann/%2e%2e/2.png',
    '/images/generated/ann/memory_1.png/../../2.png',
    '/images/generated/ann/memory_1.png%2f..%2f..%2f2.png',
    '/images/generated/ann/memory_1.png/',
    '/images/Generated/ann/memory_1.png',
    '/images/generated/ann/MEMORY_1.png',
    '/images/generated/ann/memory_1.png%00',
    '/images/generated/ann/memory_1.png%E2%80%8B',
    '/images/generated/%61nn%252fmemory_1.png',
  ])("should not open %s with another picture's signature", async (path) => {
    const { search } = await signed();
    const { status, body } = await raw(api.url, path + search);
    expect([401, 404]).toContain(status);
    expect(body).toMatch(/"(unauthorized|not_found)"/);
    expect(body).not.toMatch(/^(other|secret|picture)$/);
  });

  it('should open a signed link whose slashes are encoded: the signature covers what they stand for', async () => {
    const { search } = await signed();
    const { status } = await raw(api.url, `/images/generated%2Fann%2Fmemory_1.png${search}`);
    expect(status).toBe(200);
  });

  it('should refuse a query in which a part comes twice, in lists, or by another name', async () => {
    const { pathname, search, searchParams } = await signed();
    const [expires, signature] = [searchParams.get('expires')!, searchParams.get('signature')!];
    for (const query of [
      `${search}&expires=${expires}`,
      `${search}&signature=${signature}`,
      `${search}&expires=9999999999`,
      `?expires[]=${expires}&signature[]=${signature}`,
      `?expires[0]=${expires}&signature=${signature}`,
      `?Expires=${expires}&Signature=${signature}`,
      `?expires=${expires};signature=${signature}`,
      `?expires=${expires}&signature=${signature}%0A`,
      `?expires=%2B${expires}&signature=${signature}`,
      `?expires=${Number(expires) + 1}&signature=${signature}`,
    ]) {
      expect([query, (await raw(api.url, pathname + query)).status]).toEqual([query, 401]);
    }
    expect((await raw(api.url, `${pathname}${search}&more=1`)).status).toBe(200);
  });

  it('should go on opening links after a restart, and open none of another service', async () => {
    const DATA_DIR = await mkdtemp(join(tmpdir(), 'links-'));
    const links: URL[] = [];
    try {
      for (const time of ['first', 'second']) {
        const service = await startApi({ API_KEYS: KEYS, DATA_DIR });
        try {
          await service.storage.put(KEY, Buffer.from('picture'), 'image/png');
          links.push(new URL(await service.app.get(Links, { strict: false }).picture(KEY)));
          for (const { pathname, search } of links) {
            expect([time, (await raw(service.url, pathname + search)).status]).toEqual([time, 200]);
          }
        } finally {
          await service.close();
        }
      }
      expect((await ask(links[0])).status).toBe(401);
    } finally {
      await rm(DATA_DIR, { recursive: true });
    }
  });
});

function raw(url: string, path: string): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    // A connection of its own, which no server that closes waits for.
    get({ hostname, port, path, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode!, body }));
    }).on('error', reject);
  });
}
