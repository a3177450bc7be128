import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HubServer } from '../../test/support/hub.server';
import { HubClient } from './hub.client';
import { HubFiles } from './hub.files';

const MODEL = randomBytes(100_000);
const FILE = { repo: 'owner/name', revision: 'main', path: 'model.safetensors' };
/** Undici looks at them by itself. */
const { env } = process; // eslint-disable-line no-restricted-properties
const VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] as const;

/** What a company has between its machines and the network. */
describe('The way to the hub', () => {
  let hub: HubServer;
  let home: string;
  let proxy: Server;
  /** Where the proxy was asked to connect to. */
  let passed: string[];

  beforeEach(async () => {
    for (const name of VARIABLES) delete env[name];
    hub = await HubServer.start({ 'model.safetensors': MODEL });
    home = await mkdtemp(join(tmpdir(), 'proxied-'));
    passed = [];
    proxy = createServer((_request, response) => response.writeHead(405).end());
    proxy.on('connect', ({ url = '' }, client) => {
      passed.push(url);
      const [host, port] = url.split(':');
      const server = connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
        server.pipe(client).pipe(server);
      });
      for (const socket of [server, client]) socket.on('error', () => (server.destroy(), client.destroy()));
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
  });
  afterEach(async () => {
    for (const name of VARIABLES) delete env[name];
    proxy.closeAllConnections();
    proxy.close();
    await hub.stop();
    await rm(home, { recursive: true });
  });

  async function fetched(endpoint = hub.endpoint): Promise<Buffer> {
    const client = new HubClient({ endpoint, retryDelayMs: 1 });
    try {
      return await readFile(await new HubFiles(client, home).get(FILE, 'MODEL_PATH', () => {}));
    } finally {
      await client.close();
    }
  }

  it('should go through the proxy, that to the host of the bytes too, and past it where NO_PROXY says so', async () => {
    env.HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    expect((await fetched()).equals(MODEL)).toBe(true);
    expect(new Set(passed).size).toBe(2);
    expect(passed).toContain(new URL(hub.endpoint).host);

    passed = [];
    await rm(home, { recursive: true });
    env.NO_PROXY = 'localhost,127.0.0.1';
    expect((await fetched()).equals(MODEL)).toBe(true);
    expect(passed).toEqual([]);
  });
});
