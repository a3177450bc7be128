import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';
import { key } from '../../../../test/support/keys';
import { SCOPES } from '../auth/api.key';

const shop = key('shop', SCOPES);
const chat = key('chat', SCOPES);

describe('The share of the queue that a caller has', () => {
  let api: Api;
  afterEach(() => api.close());

  const start = async (variables: Record<string, string>) => {
    api = await startApi({ QUEUE_LIMIT: '6', QUEUE_LIMIT_PER_USER: '2', ...variables });
    api.pipeline.become('loading');
  };
  const post = async (headers: Record<string, string>, body: object = {}) => {
    const request = http(api.url).post('/v1/images/generations').set(headers).set('Prefer', 'respond-async');
    const reply = await request.send({ prompt: 'a fox', ...body });
    const { error, position } = reply.body as { error?: { code: string }; position?: number };
    return { status: reply.status, code: error?.code, position };
  };
  const fill = async (headers: Record<string, string>, body: (n: number) => object = () => ({})) => {
    let accepted = 0;
    for (let n = 0; n < 10; n++) if ((await post(headers, body(n))).status === 202) accepted++;
    return accepted;
  };
  const keys = { API_KEYS: JSON.stringify([shop.entry, chat.entry]) };

  it.each([
    ['a new user with each request', (n: number) => ({ user: `user${n}` })],
    ['no user', () => ({})],
  ])('should be the key’s, with %s', async (_, body) => {
    await start(keys);
    expect(await fill(shop.header, body)).toBe(6);
    expect(await post(chat.header)).toEqual({ status: 202, code: undefined, position: 2 });
    expect(await post(chat.header)).toEqual({ status: 202, code: undefined, position: 4 });
    expect(await post(shop.header, body(11))).toMatchObject({ status: 503, code: 'queue_full' });
  });

  it('should be divided among the users of a key as among callers', async () => {
    await start(keys);
    expect(await fill(shop.header, () => ({ user: 'ann' }))).toBe(2);
    expect(await post(shop.header, { user: 'ann' })).toMatchObject({ status: 429, code: 'queue_full' });
    expect(await post(shop.header, { user: 'ben' })).toMatchObject({ status: 202, position: 2 });
    // Another key's user of that name is another.
    expect(await post(chat.header, { user: 'ann' })).toMatchObject({ status: 202, position: 2 });
  });

  it('should be the address’s where there are no keys, as TRUST_PROXY has it', async () => {
    await start({ TRUST_PROXY: '1' });
    const from = (address: string) => ({ 'X-Forwarded-For': address });
    const busy = (n: number) => ({ user: `user${n}` });
    expect(await fill(from('192.0.2.1'), busy)).toBe(6);
    expect(await post(from('192.0.2.2'))).toMatchObject({ status: 202, position: 2 });
    // Of IPv6 whoever has one address has as many as it likes.
    expect(await fill(from('2001:db8::1'), busy)).toBe(3);
    expect(await post(from('2001:db8::2'))).toMatchObject({ status: 503, code: 'queue_full' });
  });

  it('should not keep the job of an Idempotency-Key from another address of its caller', async () => {
    await start({ TRUST_PROXY: '1' });
    const from = (address: string) => ({ 'X-Forwarded-For': address, 'Idempotency-Key': 'once' });
    expect(await post(from('192.0.2.1'))).toMatchObject({ status: 202, position: 1 });
    expect(await post(from('192.0.2.2'))).toMatchObject({ status: 202, position: 1 });
  });
});
