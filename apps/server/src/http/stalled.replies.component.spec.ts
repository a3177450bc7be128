import { once } from 'node:events';
import type { Server } from 'node:http';
import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { openFiles, until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { RawConnection } from '../../../../test/support/raw.connection';
import { stalledReplies } from './stalled.replies';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

describe(stalledReplies.name, () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi({}, { replyTimeout: 200 });
  });
  afterEach(() => api.close());

  const server = (): Server => api.app.getHttpServer();
  const connections = () =>
    new Promise<number>((resolve) => server().getConnections((_error, count) => resolve(count)));
  const stalled = async () => {
    const { text } = await http(api.url).get('/metrics').expect(200);
    return Number(/^http_refusals_total\{reason="stalled"\} (\d+)$/m.exec(text)?.[1]);
  };

  it("should end the docs' files that nobody reads", async () => {
    // Together more than the kernel takes.
    const connection = await RawConnection.open(api.url, get('/docs/swagger-ui-bundle.js').repeat(17));
    connection.socket.pause();
    await until(async () => (await stalled()) === 1);
    await until(async () => (await openFiles('swagger-ui-bundle.js')) === 0);
    connection.socket.destroy();
  });

  it('should end a large reply in one piece that nobody reads', async () => {
    const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#c83214' } })
      .png()
      .toBuffer();
    const stored = Buffer.concat([png, Buffer.alloc(19 * 1024 * 1024)]);
    await api.storage.put('avatars/ann.png', stored, 'image/png');
    const connection = await RawConnection.open(api.url, get('/v1/users/ann/avatar'));
    connection.socket.pause();
    await until(async () => (await stalled()) === 1);
    await until(async () => (await connections()) === 0);
    connection.socket.destroy();
  });

  it('should let a reply wait for what it has to tell', async () => {
    const held = api.pipeline.hold();
    const request = 'Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{"prompt":"x"}';
    const connection = await RawConnection.open(
      api.url,
      `POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n${request}`,
    );
    await held;
    await once(server(), 'timeout');
    expect(connection.closed).toBe(false);
    connection.socket.destroy();
  });
});
