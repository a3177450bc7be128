import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { RawConnection } from '../../../../test/support/raw.connection';
import { mergeSlashes } from './merged.slashes';

const CALLER = key('caller', ['draw', 'read']);

describe(mergeSlashes.name, () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi({ API_KEYS: JSON.stringify([CALLER.entry]) });
  });
  afterAll(() => api.close());
  const get = (path: string) => http(api.url).get(path).set(CALLER.header);

  it('should answer a path whose slashes doubled where two parts of an address were joined', async () => {
    const { status } = await http(api.url)
      .post('//v1//images///generations')
      .set(CALLER.header)
      .set('Prefer', 'respond-async')
      .send({ prompt: 'x' });
    expect(status).toBe(202);
    for (const path of ['//v1/jobs', '/v1//jobs?limit=1', '//health//ready', '//docs//', '//openapi.json']) {
      expect([path, (await get(path)).status]).toEqual([path, 200]);
    }
  });

  it('should open no more than the path with single slashes does', async () => {
    for (const path of [
      '//v1/jobs',
      '/v1//jobs',
      '//images//generated/a.png',
      '//v1//jobs//x//events',
      '//x',
    ]) {
      expect([path, (await http(api.url).get(path)).status]).toEqual([path, 401]);
    }
  });

  it('should leave alone what is no path: queries, and addresses that proxies send', async () => {
    const { body } = await get('/v1/jobs?cursor=a//b').expect(400);
    expect(body).toMatchObject({ error: { message: expect.stringContaining('"a//b"') } });
    const text = 'GET http://localhost/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    expect((await (await RawConnection.open(api.url, text)).reply()).status).toBe(200);
  });
});
