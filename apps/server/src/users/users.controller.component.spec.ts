import sharp from 'sharp';
import { http } from '../../../../test/support/http';
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
    });
    expect(await sharp(given.body as Buffer).metadata()).toMatchObject({ format: 'png', width: 1024 });

    expect((await http(api.url).delete(path)).status).toBe(204);
    expect((await http(api.url).delete(path)).status).toBe(204);
    const missing = await http(api.url).get(path);
    expect(missing.status).toBe(404);
    expect(missing.body).toMatchObject({ error: { code: `${kind}_not_found` } });
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

  it('should go by the content, not by the Content-Type among the three', async () => {
    await put('/v1/users/ann/avatar', await red().webp().toBuffer(), 'image/png').expect(200);
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
