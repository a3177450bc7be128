import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { cors } from './cors';

const PNG = readFileSync(join(__dirname, '../../../../test/fixtures/panda-on-purple.png'));
const APP = 'https://app.example.com';

describe(cors.name, () => {
  let api: Api;
  const start = async (origins?: string) => {
    api = await startApi(origins === undefined ? {} : { CORS_ORIGINS: origins });
  };
  afterEach(() => api.close());

  const preflight = (origin: string) =>
    http(api.url)
      .options('/v1/images/generations')
      .set('Origin', origin)
      .set('Access-Control-Request-Method', 'POST')
      .set('Access-Control-Request-Headers', 'authorization,content-type,idempotency-key');
  const corsHeaders = (headers: Record<string, string>) =>
    Object.keys(headers).filter((name) => name.startsWith('access-control-'));

  it('should be off by default: no page of another origin gets anything', async () => {
    await start();
    const reply = await http(api.url).get('/v1/jobs').set('Origin', APP).expect(200);
    expect(corsHeaders(reply.headers)).toEqual([]);
    const asked = await preflight(APP);
    expect(asked.status).toBe(204);
    expect(corsHeaders(asked.headers)).toEqual([]);
  });

  it('should let the named origins in, and no other', async () => {
    await start(`${APP},http://localhost:5173`);
    const { status, headers } = await preflight(APP);
    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'access-control-allow-origin': APP,
      'access-control-allow-methods': 'GET,HEAD,POST,PUT,DELETE',
      'access-control-allow-headers': 'authorization,content-type,idempotency-key',
      'access-control-max-age': '7200',
      vary: expect.stringContaining('Origin'),
      'x-request-id': expect.any(String),
    });
    expect(headers['access-control-allow-credentials']).toBeUndefined();
    for (const stranger of ['https://evil.example', `${APP}.evil.example`, 'null']) {
      expect((await preflight(stranger)).headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('should show pages what they need to read, in errors too', async () => {
    await start(APP);
    const reply = await http(api.url).get('/v1/jobs/none').set('Origin', APP).expect(404);
    expect(reply.headers['access-control-allow-origin']).toBe(APP);
    expect(reply.headers['access-control-expose-headers'].split(',')).toEqual([
      'Retry-After',
      'RateLimit',
      'RateLimit-Policy',
      'Location',
      'x-request-id',
      'x-should-retry',
      'Idempotency-Replayed',
      'Preference-Applied',
      'ETag',
      'Allow',
      'WWW-Authenticate',
    ]);
  });

  it('should show pages each header that the document names, apart from those that browsers show anyway', async () => {
    await start(APP);
    const shown = (await http(api.url).get('/').set('Origin', APP)).headers[
      'access-control-expose-headers'
    ].split(',');
    const { components } = (await http(api.url).get('/openapi.json')).body as {
      components: { headers: object };
    };
    const hidden = Object.keys(components.headers).filter((name) => !shown.includes(name));
    expect(hidden.sort()).toEqual(['Cache-Control', 'Last-Modified']);
  });

  it.each([
    ['with CORS_ORIGINS', APP, 'cross-origin'],
    ['else for none', undefined, 'same-origin'],
  ])('should let pages of other origins show an avatar by <img>, %s', async (_what, origins, policy) => {
    await start(origins);
    await api.storage.put('avatars/ann.png', PNG, 'image/png');
    const { headers } = await http(api.url).get('/v1/users/ann/avatar').expect(200);
    expect(headers['cross-origin-resource-policy']).toBe(policy);
  });

  it('should let every origin in with *', async () => {
    await start('*');
    expect((await preflight('https://any.example')).headers['access-control-allow-origin']).toBe('*');
  });
});
