import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { RawConnection } from '../../../../test/support/raw.connection';
import { PictureBody } from './picture.body';

const LINGER = 300;

describe(PictureBody.name, () => {
  const MB = 1024 * 1024;
  let api: Api;
  let png: Buffer;
  beforeAll(async () => {
    png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c83214' } })
      .png()
      .toBuffer();
  });
  beforeEach(async () => {
    api = await startApi({}, { bodyTimeout: 4_000, linger: LINGER, pictures: 2 });
  });
  afterEach(() => api.close());

  /** A picture, followed by zeros: decoders do not mind. */
  const padded = (bytes: number) => Buffer.concat([png, Buffer.alloc(bytes - png.length)]);
  const begin = async (user: string, length: number, sent: Buffer) => {
    const headers = `Host: localhost\r\nContent-Type: image/png\r\nContent-Length: ${length}`;
    const connection = await RawConnection.open(
      api.url,
      `PUT /v1/users/${user}/avatar HTTP/1.1\r\n${headers}\r\n\r\n`,
    );
    connection.write(sent);
    return connection;
  };
  const put = (user: string, body: Buffer) =>
    http(api.url).put(`/v1/users/${user}/avatar`).set('Content-Type', 'image/png').send(body);

  it('should refuse what is announced too large before any of it came, and cut the connection', async () => {
    const connection = await begin('ann', 20 * MB + 1, Buffer.alloc(0));
    expect((await connection.reply()).status).toBe(413);
    await connection.end();
  });

  it('should refuse a picture that is compressed once more', async () => {
    const { status, body } = await http(api.url)
      .put('/v1/users/ann/avatar')
      .set('Content-Type', 'image/png')
      .set('Content-Encoding', 'gzip')
      .send(gzipSync(png));
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { message: expect.stringMatching(/not compressed/) } });
  });

  it('should hold so many at a time, leave the others unread, and let small ones pass', async () => {
    const whole = padded(4 * MB);
    const slow = await Promise.all(
      ['a', 'b'].map((user) => begin(user, whole.length, whole.subarray(0, MB))),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    const waiting = await begin('c', whole.length, whole);
    await put('d', png).expect(200);
    expect(waiting.received).toBe('');
    // Neither read here nor taken by the kernels' buffers.
    expect(waiting.socket.writableLength).toBeGreaterThan(0);
    slow[0].write(whole.subarray(MB));
    expect((await slow[0].reply()).status).toBe(200);
    expect((await waiting.reply()).status).toBe(200);
    for (const { socket } of [...slow, waiting]) socket.destroy();
  });

  it('should give the place of a client that leaves to the next one', async () => {
    const whole = padded(MB);
    const slow = await Promise.all(
      ['a', 'b'].map((user) => begin(user, whole.length, whole.subarray(0, MB / 2))),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    const waiting = await begin('c', whole.length, whole);
    slow[0].socket.destroy();
    expect((await waiting.reply()).status).toBe(200);
    for (const { socket } of [...slow, waiting]) socket.destroy();
  });

  it('should tell a slow picture 408', async () => {
    const connection = await begin('a', 4 * MB, padded(MB));
    const trickle = setInterval(() => connection.write(Buffer.alloc(1)), 50);
    expect(await connection.reply()).toMatchObject({
      status: 408,
      body: expect.stringContaining('"request_timeout"'),
    });
    await connection.end();
    clearInterval(trickle);
  });

  it('should tell a picture that waited in vain to come again, while others are decoded and stored', async () => {
    let store = () => {};
    const stored = new Promise<void>((resolve) => (store = resolve));
    jest.spyOn(api.storage, 'put').mockReturnValue(stored);
    const whole = padded(MB);
    const busy = await Promise.all(['a', 'b'].map((user) => begin(user, MB, whole)));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const waiting = await begin('c', MB, whole);
    const { status, head, body } = await waiting.reply();
    expect({ status, body }).toMatchObject({ status: 503, body: expect.stringContaining('"queue_full"') });
    expect(head).toContain('retry-after: 5');
    store();
    for (const connection of busy) expect((await connection.reply()).status).toBe(200);
    for (const { socket } of [...busy, waiting]) socket.destroy();
  });
});
