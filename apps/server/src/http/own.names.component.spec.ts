import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { RawConnection } from '../../../../test/support/raw.connection';
import { ownNames } from './own.names';

describe(ownNames.name, () => {
  let api: Api;
  afterEach(() => api.close());
  const get = (host: string, path = '/v1/jobs') => http(api.url).get(path).set('Host', host);
  const status = async (host: string) => [host, (await get(host)).status];

  it('should answer a page of this machine, and none whose name was made to lead here', async () => {
    api = await startApi({ SERVICE_URL: 'https://Images.example.com:8443/api' });
    const own = [
      ...['localhost', 'LocalHost:8000', '127.0.0.1', '127.0.0.1:8000', '[::1]', '[::1]:8000', '127.0.0.2'],
      ...['images.example.com', 'images.example.com:8443', 'IMAGES.example.com:1'],
    ];
    for (const host of own) expect(await status(host)).toEqual([host, 200]);
    const others = [
      ...['evil.example', 'evil.example:8310', 'localhost.evil.example', 'evil.localhost', '', ':8000'],
      ...['127.0.0.1.nip.io', '0.0.0.0:8000', '192.168.0.1', '[::]', 'images.example.com.evil.example'],
      ...['localhost@evil.example', 'evil.example#localhost', 'localhost/evil.example', '[::1].evil.example'],
    ];
    for (const host of others) expect(await status(host)).toEqual([host, 421]);
  });

  it('should say which setting lets a proxy in, on every path, and tell nothing else', async () => {
    api = await startApi({ CORS_ORIGINS: '*' });
    for (const path of [
      '/',
      '/v1/jobs',
      '/health',
      '/health/ready',
      '/metrics',
      '/docs',
      '/openapi.json',
      '/nothing',
    ]) {
      const { body, headers, ...reply } = await get('evil.example', path).set(
        'Origin',
        'http://evil.example',
      );
      expect([path, reply.status]).toEqual([path, 421]);
      expect(body).toMatchObject({
        error: { code: 'misdirected_request', message: expect.stringContaining('SERVICE_URL') },
      });
      expect(headers['x-should-retry']).toBe('false');
    }
    const avatar = await http(api.url)
      .put('/v1/users/ann/avatar')
      .set({ Host: 'evil.example', 'Content-Type': 'image/png' })
      .send(Buffer.alloc(9));
    expect(avatar.status).toBe(421);
  });

  it('should not be in the way of a client that names no host, which no browser is', async () => {
    api = await startApi();
    const connection = await RawConnection.open(api.url, 'GET /v1/jobs HTTP/1.0\r\n\r\n');
    expect((await connection.reply()).status).toBe(200);
  });

  it.each([
    ['keys', { API_KEYS: JSON.stringify([key('all', ['read']).entry]) }, 200],
    ['an address for others', { HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' }, 200],
    ['ALLOW_ANONYMOUS alone', { ALLOW_ANONYMOUS: 'true' }, 421],
    ['another of its own addresses', { HOST: 'localhost' }, 421],
  ])(
    'should leave names alone only where others are meant to come: with %s',
    async (_what, variables, expected) => {
      api = await startApi(variables);
      const reply = await get('any.example').set(key('all', []).header);
      expect(reply.status).toBe(expected);
    },
  );
});
