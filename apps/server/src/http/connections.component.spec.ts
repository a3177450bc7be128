import { Logger } from '@nestjs/common';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { RawConnection } from '../../../../test/support/raw.connection';
import { Connections } from './connections';

const HOSTILE = '127.0.0.2';
const OTHER = '127.0.0.3';

const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

describe(Connections.name, () => {
  let api: Api;
  let connections: RawConnection[];
  beforeEach(() => (connections = []));
  afterEach(async () => {
    for (const { socket } of connections) socket.destroy();
    jest.restoreAllMocks();
    await api.close();
  });

  const open = async (address: string, text = '') => {
    const connection = await RawConnection.open(api.url, text, address);
    connections.push(connection);
    return connection;
  };
  const ask = async (address: string, path: string, more?: string) =>
    (await open(address, get(path, more))).reply();
  /** So many connections that the service has taken: each was answered once. */
  const hold = (count: number, address: string) =>
    Promise.all(Array.from({ length: count }, () => ask(address, '/v1/loras')));
  const refused = (code: string, status: number) => ({
    status,
    head: expect.stringMatching(/^connection: close$/m),
    body: expect.stringContaining(`"code":"${code}"`),
  });
  const metric = async (reason: string) => {
    const { text } = await http(api.url).get('/metrics').expect(200);
    const line = text.split('\n').find((each) => each.startsWith(`http_refusals_total{reason="${reason}"}`));
    return Number(line?.split(' ').pop());
  };

  it('should take so many connections of one address, and answer its probes all the same', async () => {
    api = await startApi({ MAX_CONNECTIONS_PER_CALLER: '3' });
    expect(await hold(3, HOSTILE)).toMatchObject(Array(3).fill({ status: 200 }));
    expect(await ask(HOSTILE, '/v1/loras')).toEqual(refused('too_many_connections', 429));
    for (const path of ['/health/live', '/health/ready']) {
      const { status, head } = await ask(HOSTILE, path);
      expect({ path, status }).toEqual({ path, status: path === '/health/live' ? 200 : expect.any(Number) });
      expect(head).toMatch(/^connection: close$/m);
    }
    expect((await ask(OTHER, '/v1/loras')).status).toBe(200);
    expect(await metric('address')).toBe(1);
    connections[0].socket.destroy();
    await until(async () => (await ask(HOSTILE, '/v1/loras')).status === 200);
  });

  it('should take MAX_CONNECTIONS in all, and answer probes all the same', async () => {
    api = await startApi({ MAX_CONNECTIONS: '4', MAX_CONNECTIONS_PER_CALLER: '2' });
    await Promise.all([hold(2, HOSTILE), hold(2, '127.0.0.4')]);
    expect(await ask(OTHER, '/v1/loras')).toEqual(refused('too_many_connections', 503));
    for (const address of [HOSTILE, OTHER]) expect((await ask(address, '/health/live')).status).toBe(200);
  });

  it('should let one address have half of MAX_CONNECTIONS by default', async () => {
    api = await startApi({ MAX_CONNECTIONS: '4' });
    await hold(2, HOSTILE);
    expect((await ask(HOSTILE, '/v1/loras')).status).toBe(429);
  });

  it('should keep the places of probes from an address that takes all it can', async () => {
    api = await startApi({ MAX_CONNECTIONS: '2' }, { spareConnections: 8 });
    await Promise.all([hold(1, HOSTILE), hold(1, '127.0.0.4')]);
    const probe = await open(OTHER);
    for (let i = 0; i < 40; i++) await open(HOSTILE);
    await until(() => connections.filter(({ closed }) => closed).length === 33);
    probe.write(get('/health/live'));
    expect((await probe.reply()).status).toBe(200);
  });

  it('should end a connection beyond the bound that asks nothing', async () => {
    api = await startApi({ MAX_CONNECTIONS_PER_CALLER: '1' }, { spareTimeout: 50 });
    await hold(1, HOSTILE);
    await (await open(HOSTILE)).end();
    expect(await metric('address')).toBe(1);
  });

  it('should tell of refusals at a bounded rate', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue(undefined);
    api = await startApi({ MAX_CONNECTIONS_PER_CALLER: '1' });
    await hold(1, HOSTILE);
    const replies = await hold(30, HOSTILE);
    expect(replies.every(({ status }) => status === 429)).toBe(true);
    const lines = warn.mock.calls.filter(([line]) => (line as { reason?: string }).reason === 'address');
    expect(lines).toEqual([[expect.objectContaining({ address: HOSTILE }), expect.any(String)]]);
  });

  describe('of requests', () => {
    const SYNC = 'Content-Type: application/json\r\nContent-Length: 14\r\n';
    const draw = (more: string) =>
      `POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n${SYNC}${more}\r\n{"prompt":"x"}`;
    const running = async (count: number) => {
      const { text } = await http(api.url).get('/metrics').expect(200);
      return /^image_jobs\{state="queued"\} (\d+)$/m.exec(text)?.[1] === String(count - 1);
    };

    it('should count by the address that a proxy names', async () => {
      api = await startApi({ MAX_CONNECTIONS_PER_CALLER: '2', TRUST_PROXY: '1' });
      const from = (address: string) => `X-Forwarded-For: ${address}\r\n`;
      void api.pipeline.hold();
      for (const user of ['a', 'b'])
        await open(HOSTILE, draw(`${from('1.1.1.1')}Idempotency-Key: ${user}\r\n`));
      await until(() => running(2));
      const { status, body } = await ask(HOSTILE, '/v1/loras', from('1.1.1.1'));
      expect({ status, body }).toMatchObject({ status: 429, body: expect.stringContaining('"too_many_') });
      expect((await ask(HOSTILE, '/health/live', from('1.1.1.1'))).status).toBe(200);
      expect((await ask(HOSTILE, '/v1/loras', from('2.2.2.2'))).status).toBe(200);
      expect(await metric('caller')).toBe(1);
      connections[0].socket.destroy();
      await until(async () => (await ask(HOSTILE, '/v1/loras', from('1.1.1.1'))).status === 200);
    });

    it('should count by key, from wherever it calls', async () => {
      const [ann, bob] = ['ann', 'bob'].map((name) => key(name, ['draw', 'read']));
      const with_ = ({ header }: typeof ann) => `Authorization: ${header.authorization}\r\n`;
      const keys = JSON.stringify([ann.entry, bob.entry]);
      api = await startApi({ MAX_CONNECTIONS_PER_CALLER: '2', API_KEYS: keys });
      void api.pipeline.hold();
      for (const address of [HOSTILE, '127.0.0.4']) await open(address, draw(with_(ann)));
      await until(() => running(2));
      expect((await ask(OTHER, '/v1/loras', with_(ann))).status).toBe(429);
      expect((await ask(OTHER, '/v1/loras', with_(bob))).status).toBe(200);
    });
  });
});
