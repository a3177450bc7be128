import { Readable } from 'node:stream';
import sharp from 'sharp';
import { http } from '../../../../test/support/http';
import { until } from '../../../../test/support/eventually';
import { startApi, type Api } from '../../../../test/support/api';
import { UsersController } from './users.controller';

const red = () => sharp({ create: { width: 1500, height: 750, channels: 3, background: '#c83214' } });

describe(UsersController.name, () => {
  let api: Api;
  const put = (path: string, body: Buffer, type = 'image/jpeg') =>
    http(api.url).put(path).set('Content-Type', type).send(body);
  async function keys(): Promise<string[]> {
    const found: string[] = [];
    for await (const { key } of api.storage.list('')) if (!key.startsWith('jobs.db')) found.push(key);
    return found.sort();
  }
  const store = (...names: string[]) =>
    Promise.all(names.map((name) => api.storage.put(name, Buffer.from('x'), 'image/png')));

  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(() => api.close());

  it.each([
    ['avatar', 'avatars/ann.png'],
    ['photo', 'subjects/ann.png'],
  ])('should store a %s as PNG, give it back and remove it', async (kind, key) => {
    const path = `/v1/users/ann/${kind}`;
    const stored = await put(path, await red().jpeg().toBuffer());
    expect(stored.status).toBe(200);
    expect(stored.body).toEqual({
      user_id: 'ann',
      ...(kind === 'photo' && { photo: 1 }),
      s3_uri: `s3://local/${key}`,
      width: 1024,
      height: 512,
      bytes: expect.any(Number) as number,
    });
    expect(await keys()).toEqual([key]);

    const given = await http(api.url).get(path);
    expect(given.status).toBe(200);
    expect(given.headers).toMatchObject({
      'content-type': 'image/png',
      'cache-control': 'private, no-cache',
      etag: expect.stringMatching(/^".+"$/) as string,
    });
    expect(await sharp(given.body as Buffer).metadata()).toMatchObject({ format: 'png', width: 1024 });

    expect((await http(api.url).delete(path)).status).toBe(204);
    expect((await http(api.url).delete(path)).status).toBe(204);
    const missing = await http(api.url).get(path);
    expect(missing.status).toBe(404);
    expect(missing.body).toMatchObject({ error: { code: `${kind}_not_found` } });
  });

  it('should give the bytes that are stored, and 304 for as long as they are the same', async () => {
    const bytes = await red().png({ compressionLevel: 0 }).toBuffer(); // as sharp would not encode them again
    await api.storage.put('avatars/ann.png', bytes, 'image/png');
    const ask = (...[name, value]: [string?, string?]) => {
      const request = http(api.url).get('/v1/users/ann/avatar');
      return name === undefined ? request : request.set(name, value!);
    };
    const first = await ask().expect(200);
    expect((first.body as Buffer).equals(bytes)).toBe(true);
    const { etag } = first.headers;
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const { status, headers, text } = await ask('If-None-Match', known);
      expect({ known, status, etag: headers.etag, text }).toEqual({ known, status: 304, etag, text: '' });
    }
    await ask('If-None-Match', '"other"').expect(200);
    await ask('If-Modified-Since', new Date(Date.now() + 60_000).toUTCString()).expect(200);
    const { headers } = await http(api.url).head('/v1/users/ann/avatar').expect(200);
    expect(headers).toMatchObject({ etag, 'content-length': String(bytes.length) });

    await put('/v1/users/ann/avatar', await red().jpeg().toBuffer()).expect(200);
    const second = await ask('If-None-Match', etag).expect(200);
    expect(second.headers.etag).not.toBe(etag);
  });

  it.each(['avatars/ann.jpg', 'avatars/ann.png', 'avatars/ann/2020.webp'])(
    'should give what another program stored in another format as PNG: %s',
    async (key) => {
      await api.storage.put(key, await red().jpeg().toBuffer(), 'image/jpeg');
      const { body, headers } = await http(api.url).get('/v1/users/ann/avatar').expect(200);
      expect(headers['content-type']).toBe('image/png');
      expect(await sharp(body as Buffer).metadata()).toMatchObject({ format: 'png', width: 1024 });
      const again = http(api.url).get('/v1/users/ann/avatar').set('If-None-Match', headers.etag);
      expect((await again).status).toBe(304);
    },
  );

  it('should not answer an error with the ETag of the picture that it cannot give', async () => {
    await store('avatars/ann.jpg');
    const picture = (await api.storage.open('avatars/ann.jpg'))!;
    picture.body.destroy();
    const { status, headers } = await http(api.url).get('/v1/users/ann/avatar');
    expect(status).toBe(422);
    expect(headers.etag).not.toContain(picture.etag);
  });

  it('should give pictures as they are stored, however many others have to be converted', async () => {
    await api.storage.put('avatars/ann.png', await red().png().toBuffer(), 'image/png');
    const users = Array.from({ length: 20 }, (_, i) => `foreign${i}`);
    for (const user of users) await api.storage.put(`avatars/${user}.jpg`, await red().jpeg().toBuffer(), '');
    // Each is opened once to be looked at; when it is read to be converted, the storage is slow.
    const open = api.storage.open.bind(api.storage);
    const looked = new Set<string>();
    let answer = () => {};
    const slow = new Promise<void>((resolve) => (answer = resolve));
    let waiting = 0;
    jest.spyOn(api.storage, 'open').mockImplementation(async (key) => {
      if (key.endsWith('.jpg') && looked.has(key)) {
        waiting++;
        await slow;
      }
      looked.add(key);
      return open(key);
    });
    const foreign = users.map((user) =>
      http(api.url)
        .get(`/v1/users/${user}/avatar`)
        .then(({ status }) => status),
    );
    await until(() => looked.has('avatars/foreign19.jpg') && waiting > 0);
    await http(api.url).get('/v1/users/ann/avatar').expect(200);
    answer();
    expect(new Set(await Promise.all(foreign))).toEqual(new Set([200]));
  });

  it('should say that the storage broke off, where it did', async () => {
    const body = new Readable({
      read() {
        this.push('half');
        this.destroy(new Error('ECONNRESET 10.0.0.1'));
      },
    });
    const info = { key: 'avatars/ann.png', size: 100, lastModified: new Date(), etag: '"e"', body };
    jest.spyOn(api.storage, 'open').mockResolvedValueOnce(info);
    const reply = await http(api.url).get('/v1/users/ann/avatar');
    expect(reply.status).toBe(503);
    expect(reply.body).toMatchObject({ error: { code: 'storage_unavailable' } });
    expect(reply.text).not.toContain('10.0.0.1');
  });

  it('should remove the other spellings of the key, and nobody else’s', async () => {
    await store('avatars/bob.jpg', 'avatars/bob.webp', 'avatars/bob/2020.png');
    await store('avatars/bobby.jpg', 'avatars/bobby/2020.png');
    await put('/v1/users/bob/avatar', await red().jpeg().toBuffer()).expect(200);
    expect(await keys()).toEqual(['avatars/bob.png', 'avatars/bobby.jpg', 'avatars/bobby/2020.png']);
  });

  it('should keep the old picture when the new one is refused', async () => {
    await store('avatars/bob.jpg');
    const { status, body } = await put('/v1/users/bob/avatar', Buffer.from('hello'));
    expect(status).toBe(422);
    expect(body).toMatchObject({ error: { code: 'unsupported_picture', type: 'invalid_request_error' } });
    expect(await keys()).toEqual(['avatars/bob.jpg']);
  });

  it.each([
    ...['image/png', 'image/jpg', 'image/pjpeg', 'image/x-png', 'IMAGE/JPEG; q=1', 'image/heic', 'image/gif'],
    ...['application/octet-stream', 'binary/octet-stream'],
  ])('should go by the content of what is called %s', async (type) => {
    await put('/v1/users/ann/avatar', await red().webp().toBuffer(), type).expect(200);
    const { status, body } = await put('/v1/users/ann/avatar', await red().gif().toBuffer(), type);
    expect(status).toBe(422);
    expect(body).toMatchObject({
      error: { message: expect.stringMatching(/received GIF: convert/) as string },
    });
  });

  it('should take a body without Content-Type, as `curl -T` sends it', async () => {
    const body = new Uint8Array(await red().png().toBuffer());
    const { status } = await fetch(`${api.url}/v1/users/ann/avatar`, { method: 'PUT', body });
    expect(status).toBe(200);
  });

  it('should refuse other Content-Types and empty bodies', async () => {
    const form = await put('/v1/users/ann/avatar', await red().png().toBuffer(), 'multipart/form-data');
    expect(form.status).toBe(422);
    expect(form.body).toMatchObject({
      error: {
        code: 'unsupported_picture',
        message: expect.stringMatching(/image\/png.* received Content-Type multipart/) as string,
      },
    });
    const none = await http(api.url).put('/v1/users/ann/avatar');
    expect(none.body).toMatchObject({ error: { code: 'unsupported_picture' } });
  });

  it('should refuse more than 20 MiB', async () => {
    const { status, body } = await put('/v1/users/ann/avatar', Buffer.alloc(20 * 1024 * 1024 + 1));
    expect(status).toBe(413);
    expect(body).toMatchObject({
      error: {
        code: 'payload_too_large',
        message: expect.stringMatching(/at most 20971520 bytes/) as string,
      },
    });
  });

  it('should refuse a user id that is none', async () => {
    const { status, body } = await http(api.url).get('/v1/users/..%2fann/avatar');
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: 'invalid_request', param: 'user_id' } });
  });

  it('should remove everything of a user and nothing of others', async () => {
    const kept = ['generated/bobby/memory_1.png', 'generated/bob.png', 'avatars/bobby.png'];
    await store(...kept, 'generated/bob/memory_1.png', 'generated/bob/subject_2.png');
    await store('avatars/bob.png', 'subjects/bob.jpg');
    expect((await http(api.url).delete('/v1/users/bob')).status).toBe(204);
    expect(await keys()).toEqual([...kept].sort());
    expect((await http(api.url).delete('/v1/users/bob')).status).toBe(204);
  });

  it('should remove the jobs and images that name a user as OpenAI’s clients do, done or not', async () => {
    const draw = (user: string, prefer = 'wait=60') =>
      http(api.url).post('/v1/images/generations').set('Prefer', prefer).send({ prompt: 'x', user });
    const idOf = ({ body }: { body: unknown }) => (body as { id: string }).id;
    const state = async (id: string) => (await http(api.url).get(`/v1/jobs/${id}`)).status;
    const done = idOf(await draw('alice').expect(200));
    const kept = idOf(await draw('alicia').expect(200));
    const label = idOf(await draw('alice, of team a').expect(200));
    // The worst case, as below.
    let release = () => {};
    const drawn = new Promise<void>((resolve) => {
      api.pipeline.work = () => {
        resolve();
        return new Promise((finish) => (release = finish));
      };
    });
    const running = idOf(await draw('alice', 'respond-async').expect(202));
    const queued = idOf(await draw('alice', 'respond-async').expect(202));
    await drawn;
    const removed = jest.spyOn(api.storage, 'delete');

    expect((await http(api.url).delete('/v1/users/alice')).status).toBe(204);
    release();
    for (const id of [done, running, queued]) expect([id, await state(id)]).toEqual([id, 404]);
    for (const id of [kept, label]) expect([id, await state(id)]).toEqual([id, 200]);
    const last = `generated/alice/generations_${running}.png`;
    await until(() => removed.mock.calls.some(([key]) => key === last));
    expect(await keys()).toEqual(
      [`generated/${label}.png`, `generated/alicia/generations_${kept}.png`].sort(),
    );
  });

  it('should cancel the requests of a removed user, which then write nothing', async () => {
    await put('/v1/users/ann/avatar', await red().jpeg().toBuffer()).expect(200);
    // The worst case: the engine does not notice the abort and hands its picture out.
    let release = () => {};
    const called = new Promise<void>((resolve) => {
      api.pipeline.work = () => {
        resolve();
        return new Promise((done) => (release = done));
      };
    });
    const call = http(api.url)
      .post('/v1/images/memory')
      .send({ user_id: 'ann', prompt: 'x' })
      .then((reply) => reply);
    await called;
    const removal = http(api.url)
      .delete('/v1/users/ann')
      .then(({ status }) => status);
    setTimeout(() => release(), 50);
    expect(await removal).toBe(204);
    expect((await call).body).toMatchObject({ error: { code: 'cancelled' } });
    expect(await keys()).toEqual([]);
  });
});
