import { request } from 'node:http';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { SCOPES } from '../auth/api.key';

const chat = key('chat', SCOPES);
const ann = key('ann-phone', SCOPES, 'ann');
const mute = key('mute', ['read', 'users']);

const ID = 'a'.repeat(24);

interface Picture {
  readonly id: string;
  readonly data: readonly [{ readonly url: string }];
}

describe('Removing a picture', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([chat, ann, mute].map(({ entry }) => entry)) });
  });
  afterEach(() => api.close());

  const get = (path: string) => http(api.url).get(path).set(chat.header);
  const remove = (path: string, { header } = chat) => http(api.url).delete(path).set(header);
  const post = (headers: Record<string, string> = {}, body: object = {}) =>
    http(api.url)
      .post('/v1/images/generations')
      .set({ ...chat.header, ...headers })
      .send({ prompt: 'a fox', ...body });
  const draw = async (...of: Parameters<typeof post>) => (await post(...of).expect(200)).body as Picture;
  const pathOf = ({ data: [{ url }] }: Picture) => new URL(url).pathname;
  const put = (...names: string[]) =>
    Promise.all(names.map((name) => api.storage.put(name, Buffer.from('x'), 'image/png')));
  const stored = async () => {
    const found: string[] = [];
    for await (const { key: name } of api.storage.list('')) found.push(name);
    return found.filter((name) => !/^(jobs\.db|url\.secret)/.test(name)).sort();
  };

  it('should remove it with its finished job, and nothing else', async () => {
    const once = { 'Idempotency-Key': 'once' };
    const [gone, kept] = [await draw(once), await draw()];
    const { status, text } = await remove(`/v1/jobs/${gone.id}`);
    expect([status, text]).toEqual([204, '']);
    expect(await stored()).toEqual([`generated/${kept.id}.png`]);
    for (const path of [`/v1/jobs/${gone.id}`, `/v1/jobs/${gone.id}/events`, pathOf(gone)]) {
      expect([path, (await get(path)).status]).toEqual([path, 404]);
    }
    expect((await get('/v1/jobs')).body).toMatchObject({ data: [{ id: kept.id }] });
    await remove(`/v1/jobs/${gone.id}`).expect(404);
    expect((await draw(once)).id).not.toBe(gone.id);
  });

  it('should remove a job that failed, though it has no picture', async () => {
    api.pipeline.work = () => Promise.reject(new Error('none'));
    await post().expect(500);
    const [{ id, state }] = ((await get('/v1/jobs')).body as { data: [{ id: string; state: string }] }).data;
    expect(state).toBe('failed');
    await remove(`/v1/jobs/${id}`).expect(204);
    await get(`/v1/jobs/${id}`).expect(404);
  });

  it('should remove it by its key, and its job with it, and be fine twice', async () => {
    const [gone, kept] = [await draw({}, { user: 'ann' }), await draw({}, { user: 'ann' })];
    await remove(pathOf(gone)).expect(204);
    expect(await stored()).toEqual([`generated/ann/generations_${kept.id}.png`]);
    await get(`/v1/jobs/${gone.id}`).expect(404);
    await get(`/v1/jobs/${kept.id}`).expect(200);
    await remove(pathOf(gone)).expect(204);
  });

  it('should remove it by its key when its job was forgotten', async () => {
    await put(`generated/${ID}.png`, `generated/ann/memory_${ID}.png`, `generated/ann/subject_${ID}.png`);
    await remove(`/images/generated/${ID}.png`).expect(204);
    await remove(`/images/generated/ann/memory_${ID}.png`, ann).expect(204);
    expect(await stored()).toEqual([`generated/ann/subject_${ID}.png`]);
  });

  it('should leave a running job to be cancelled, as ever', async () => {
    let drawing = false;
    api.pipeline.work = (signal) =>
      new Promise((_resolve, reject) => {
        drawing = true;
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const { id } = (await post({ Prefer: 'respond-async' }).expect(202)).body as Picture;
    await until(() => drawing);
    await remove(`/images/generated/${id}.png`).expect(404);
    expect((await get(`/v1/jobs/${id}`)).body).toMatchObject({ state: 'running' });
    for (const time of ['first', 'second']) {
      const { status, body } = await remove(`/v1/jobs/${id}`);
      expect([time, status]).toEqual([time, 200]);
      expect(body).toMatchObject({ id, state: 'cancelled' });
    }
    await get(`/v1/jobs/${id}`).expect(200);
  });

  it('should not be taken for a job’s because its name ends like it', async () => {
    const { id } = await draw();
    await put(`generated/ann/generations_${id}.png`);
    await remove(`/images/generated/ann/generations_${id}.png`).expect(204);
    expect(await stored()).toEqual([`generated/${id}.png`]);
    await get(`/v1/jobs/${id}`).expect(200);
  });

  it.each([
    `/images/avatars/${ID}.png`,
    '/images/jobs.db',
    '/images/generated/notes.txt',
    `/images/generated/${ID}.jpg`,
    `/images/generated/x${ID}.png`,
    `/images/generated/${ID}.png.png`,
    `/images/generated/../avatars/${ID}.png`,
    `/images/generated/%2e%2e/avatars/${ID}.png`,
    `/images/generated/..%2favatars%2f${ID}.png`,
    `/images/generated%2f..%2favatars/${ID}.png`,
  ])('should remove nothing that is no image of the service: %s', async (path) => {
    await put(`avatars/${ID}.png`, 'generated/notes.txt', `generated/${ID}.jpg`, `generated/x${ID}.png`);
    await put(`generated/${ID}.png.png`);
    const before = await stored();
    // Not by supertest, which would resolve the dots itself.
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(api.url);
      const options = { hostname, port, path, method: 'DELETE', headers: chat.header, agent: false };
      request(options, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end();
    });
    expect(status).toBe(404);
    expect(await stored()).toEqual(before);
    await get('/v1/jobs').expect(200);
  });

  it('should take the scope, and of a bound key that the picture is its user’s', async () => {
    const picture = await draw();
    await put(`generated/bob/memory_${ID}.png`);
    const before = await stored();
    for (const path of [pathOf(picture), `/v1/jobs/${picture.id}`]) {
      await remove(path, mute).expect(403);
      await remove(path, ann).expect(404);
      await http(api.url).delete(path).expect(401);
    }
    const { pathname, search } = new URL(picture.data[0].url);
    expect(search).toContain('signature=');
    await http(api.url)
      .get(pathname + search)
      .expect(200);
    await http(api.url)
      .delete(pathname + search)
      .expect(401);
    await remove(`/images/generated/bob/memory_${ID}.png`, ann).expect(404);
    expect(await stored()).toEqual(before);
  });
});
