import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { loadConfig } from '@app/config';
import { guardedAgent, AddressPolicy, WEB_PORTS } from '@app/outbound';
import { fetch } from 'undici';
import { NameServer } from '../../../test/support/name.server';
import { ReferenceFetcher } from './images/reference.fetcher';
import { WebhookAddress } from './webhooks/webhook.address';
import { WebhookClient } from './webhooks/webhook.client';

const WEBHOOK_SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const never = new AbortController().signal;
const DOOR = '127.0.0.2';

/** Everything that leads inside, or looks as if. The name server answers names of `.example` with private addresses. */
const HOSTS = [
  ...['127.0.0.1', '127.1', '127.0.1', '127.255.255.254', '127.0.0.1.', '127.0.0.01', '127.000.000.001'],
  ...['2130706433', '2130706433.', '0x7f000001', '0X7F000001', '0x7f.0.0.1', '0x7f.1', '0x7f.0x0.0x0.0x1'],
  ...['017700000001', '0177.0.0.1', '0177.1', '00000177.0.0.1', '127.0x1', '127.0.0x0.01', '0x7f.0.1'],
  ...['１２７.０.０.１', '①②⑦.⓪.⓪.①', '127。0。0。1', '127．0．0．1', '127｡0｡0｡1', '𝟏𝟐𝟕.𝟎.𝟎.𝟏'],
  ...['%31%32%37.0.0.1', '127%2e0%2e0%2e1', '127.0.0.1%2e', '127.0.0.1%00', '127.0.0.1%23', '127.0.0.1%09'],
  ...[
    'localhost',
    'LOCALHOST',
    'localhost.',
    'ⓛⓞⓒⓐⓛⓗⓞⓢⓣ',
    'ｌｏｃａｌｈｏｓｔ',
    'localhost%2e',
    'local\u00adhost',
  ],
  ...['0.0.0.0', '0', '00', '0x0', '0.0', '0.0.0.0.', '[::]', '[0:0:0:0:0:0:0:0]', '[::0.0.0.0]'],
  ...['[::1]', '[0:0:0:0:0:0:0:1]', '[0000::0001]', '[::0.0.0.1]', '[::1%25lo]', '[::1%lo]', '[::1%1]'],
  ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:ffff:7f00:0001]', '[::FFFF:127.0.0.1]'],
  ...['[::127.0.0.1]', '[::7f00:1]', '[::ffff:0:127.0.0.1]', '[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]'],
  ...['[64:ff9b:1::7f00:1]', '[2002:7f00:1::]', '[2001:0:7f00:1::]', '[2001::80ff:fffe]', '[fe80::1]'],
  ...[
    '[fe80::1%25eth0]',
    '[fec0::1]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[ff02::1]',
    '[100::1]',
    '[2001:db8::1]',
  ],
  ...[
    '10.0.0.1',
    '10.1',
    '167772161',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '192.168.257',
    '100.64.0.1',
  ],
  ...[
    '169.254.169.254',
    '0xa9fea9fe',
    '2852039166',
    '0251.0376.0251.0376',
    '[::ffff:a9fe:a9fe]',
    '169.254.170.2',
  ],
  ...['100.100.100.200', '168.63.129.16', '192.0.0.192', '198.18.0.1', '192.0.2.1', '203.0.113.1'],
  ...[
    '224.0.0.1',
    '239.255.255.250',
    '240.0.0.1',
    '255.255.255.255',
    '0.1.2.3',
    'metadata.example',
    'mixed.example',
  ],
  ...['a:b@127.0.0.1', 'a@127.0.0.1', '93.184.215.14@127.0.0.1', '93.184.215.14%40@127.0.0.1', ''],
  ...['127.0.0.1\\@93.184.215.14', '127.0.0.1:80@127.0.0.1', '[::1', '::1', '127.0.0.1:99999', '127.0.0.256'],
  hostname(),
];
const SCHEMES = [
  'file',
  'ftp',
  'gopher',
  'dict',
  'ws',
  'wss',
  'unix',
  'blob:http',
  'view-source:http',
  'jar:http',
];

describe('Addresses that strangers choose', () => {
  const servers: Server[] = [];
  const attempts: string[] = [];
  let accepted = 0;
  let names: NameServer;
  let lookup: jest.SpyInstance;
  let port = 0;
  let fetcher: ReferenceFetcher;
  let client: WebhookClient;
  let address: WebhookAddress;

  async function listen(host: string, listener: RequestListener, at = 0): Promise<number> {
    const server = createServer(listener);
    servers.push(server);
    await once(server.listen({ host, port: at, ipv6Only: host === '::' }), 'listening');
    return (server.address() as AddressInfo).port;
  }
  /** Every attempt of this process to connect, wherever to: tried is too much already. */
  const watch = (message: unknown) => {
    const { socket } = message as { socket: Socket };
    socket.on('connectionAttempt', (to: string, atPort: number) => {
      if (to !== DOOR) attempts.push(`${to} ${atPort}`);
    });
  };

  beforeAll(async () => {
    const inside: RequestListener = (_request, response) => response.end('secret');
    const count = () => accepted++;
    port = await listen('0.0.0.0', inside);
    if (Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'))) {
      await listen('::', inside, port);
    }
    for (const server of servers) server.on('connection', count);
    // As if the web's own ports were listened on, for which one must be root: only the address may save the day.
    WEB_PORTS.add(port);
    names = await NameServer.start();
    names.answer = (name) =>
      name === 'metadata.example'
        ? ['169.254.169.254', 'fd00:ec2::254']
        : name === 'mixed.example'
          ? ['10.0.0.1', '::1', '127.0.0.1', '::ffff:127.0.0.1']
          : ['127.0.0.1', '::1'];
    lookup = names.takeOver();
    subscribe('net.client.socket', watch);
  });
  afterAll(async () => {
    unsubscribe('net.client.socket', watch);
    WEB_PORTS.delete(port);
    lookup.mockRestore();
    await names.stop();
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
  beforeEach(() => {
    attempts.length = accepted = 0;
    use({});
  });
  afterEach(() => Promise.all([fetcher.onApplicationShutdown(), client.close()]));

  function use(variables: Record<string, string>): void {
    const config = loadConfig({ WEBHOOK_SECRET, ...variables });
    fetcher = new ReferenceFetcher(config);
    client = new WebhookClient(config);
    address = new WebhookAddress(config);
  }
  const own = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .map(({ address, family }) => (family === 'IPv6' ? `[${address.replace(/%.*/, '')}]` : address));
  const all = [...new Set([...HOSTS, ...own])];
  const refused = { code: 'invalid_request' };
  const nothing = () => expect({ attempts, accepted }).toEqual({ attempts: [], accepted: 0 });

  it('should have more than a hundred spellings', () => expect(all.length).toBeGreaterThan(100));

  it.each(all)('should not connect to %j', async (host) => {
    for (const url of [`http://${host}:${port}/`, `https://${host}:${port}/`]) {
      await expect(fetcher.fetch(url, never)).rejects.toMatchObject(refused);
      expect(await client.post({ id: 'a-0', url, body: '{}' }, never)).toMatch(
        /^(refused address|no connection)$/,
      );
      await expect(address.check(url)).rejects.toMatchObject(refused);
    }
    nothing();
  });

  it('should not connect behind a redirect either', async () => {
    use({ REFERENCE_URL_ALLOW: DOOR, WEBHOOK_URL_ALLOW: DOOR });
    let target = '';
    const door = await listen(DOOR, (_request, response) =>
      response.writeHead(302, { location: target }).end(),
    );
    const targets = all.map((host) => `http://${encodeHost(host)}:${port}/`);
    targets.push(
      ...own.map((host) => `//${host}:${port}/`),
      ...SCHEMES.map((scheme) => `${scheme}://127.0.0.1/`),
    );
    for (target of targets) {
      const url = `http://${DOOR}:${door}/`;
      await expect(fetcher.fetch(url, never)).rejects.toMatchObject(refused);
      expect(await client.post({ id: 'a-0', url, body: '{}' }, never)).toBe('302');
    }
    nothing();
  });

  it.each([
    ...SCHEMES.map((scheme) => `${scheme}://127.0.0.1/`),
    'data:image/png;base64,AA==',
    'javascript:1',
  ])('should not follow %s', async (url) => {
    await expect(fetcher.fetch(url, never)).rejects.toMatchObject(refused);
    await expect(address.check(url)).rejects.toMatchObject(refused);
    expect(await client.post({ id: 'a-0', url, body: '{}' }, never)).toBe('refused address');
    nothing();
  });

  it('should say the same of every refused address, whether something listens or not', async () => {
    const sentences = new Set<string>();
    for (const url of [
      `http://127.0.0.1:${port}/`,
      'http://127.0.0.1:1/',
      'http://10.0.0.1/',
      'http://[::1]:6379/',
    ]) {
      await fetcher.fetch(url, never).catch(({ message }: Error) => sentences.add(message));
    }
    expect([...sentences]).toEqual([
      'Expected a public address on port 80 or 443 for reference_image_url but received another',
    ]);
    nothing();
  });

  it('should not be led inside by a name that answers differently the second time', async () => {
    names.answer = (name, time) => (name === 'rebind.example' ? [time === 0 ? DOOR : '127.0.0.1'] : []);
    use({ REFERENCE_URL_ALLOW: `${DOOR}/32`, WEBHOOK_URL_ALLOW: `${DOOR}/32` });
    let served = 0;
    const door = await listen(DOOR, (_request, response) => {
      served++;
      response.writeHead(302, { location: `http://rebind.example:${port}/`, connection: 'keep-alive' }).end();
    });
    const questions = () => names.asked.filter((one) => one === 'rebind.example 1').length;

    await expect(fetcher.fetch(`http://rebind.example:${door}/`, never)).rejects.toMatchObject(refused);
    expect([served, questions()]).toEqual([1, 2]);
    nothing();

    names.asked.length = 0;
    const url = `http://rebind.example:${port}/`;
    await address.check(url); // when the job was accepted
    expect(await client.post({ id: 'a-0', url, body: '{}' }, never)).toBe('refused address');
    expect(questions()).toBe(2);
    nothing();
  });

  it('should connect only to what is allowed among the addresses of a name', async () => {
    names.answer = () => ['127.0.0.1', '::1', DOOR, '10.0.0.1'];
    use({ REFERENCE_URL_ALLOW: DOOR });
    const door = await listen(DOOR, (_request, response) => response.end('bytes'));
    expect((await fetcher.fetch(`http://many.example:${door}/`, never)).toString()).toBe('bytes');
    nothing();
  });

  it('should send nothing to a peer that is not allowed, whoever connected to it', async () => {
    let requests = 0;
    const open = await listen('127.0.0.1', (_request, response) => response.end(String(++requests)));
    const policy = new AddressPolicy([]);
    // A lookup without the filter: what a mistake there would be.
    policy.lookup = () => (_host, _options, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    const agent = guardedAgent(policy);
    const answer = fetch(`http://hooks.example:${open}/`, { dispatcher: agent });
    await expect(answer).rejects.toMatchObject({ cause: { name: 'RefusedAddressError' } });
    await agent.destroy();
    expect([attempts.length, requests]).toEqual([1, 0]);
  });

  it('should use no proxy of the environment', async () => {
    const proxy = `http://127.0.0.1:${port}`;
    const variables = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy'];
    // Undici looks at them by itself.
    const { env } = process; // eslint-disable-line no-restricted-properties
    const before = { ...env };
    Object.assign(env, Object.fromEntries(variables.map((name) => [name, proxy])), {
      NODE_USE_ENV_PROXY: '1',
    });
    try {
      use({ REFERENCE_URL_ALLOW: DOOR, WEBHOOK_URL_ALLOW: DOOR });
      const door = await listen(DOOR, (_request, response) => response.end('bytes'));
      const url = `http://${DOOR}:${door}/`;
      expect((await fetcher.fetch(url, never)).toString()).toBe('bytes');
      expect(await client.post({ id: 'a-0', url, body: '{}' }, never)).toBe('200');
      nothing();
    } finally {
      for (const name of [...variables, 'NODE_USE_ENV_PROXY']) delete env[name];
      Object.assign(env, before);
    }
  });

  it('should count what this suite counts', async () => {
    use({ REFERENCE_URL_ALLOW: '127.0.0.1', WEBHOOK_URL_ALLOW: '127.0.0.1' });
    names.answer = () => ['127.0.0.1'];
    expect((await fetcher.fetch(`http://0x7f.1:${port}/`, never)).toString()).toBe('secret');
    expect(await client.post({ id: 'a-0', url: `http://a.example:${port}/`, body: '{}' }, never)).toBe('200');
    expect({ attempts, accepted }).toEqual({ attempts: Array(2).fill(`127.0.0.1 ${port}`), accepted: 2 });
  });
});

/** Headers are latin-1: what is not goes as UTF-8 in per cent signs, as servers write it. */
const encodeHost = (host: string) => host.replace(/[^\x20-\x7e]/gu, encodeURIComponent);
