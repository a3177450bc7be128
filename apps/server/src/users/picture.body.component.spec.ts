import { gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
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

  describe('of many callers', () => {
    const [HOSTILE, OTHER] = ['127.0.0.2', '127.0.0.3'];
    const [ann, bob] = ['ann', 'bob'].map((name) => key(name, ['users']));
    const read = key('eve', ['read']);
    const by = ({ header }: typeof ann) => `Authorization: ${header.authorization}\r\n`;
    const connections: RawConnection[] = [];
    afterEach(() => connections.splice(0).forEach(({ socket }) => socket.destroy()));

    const restart = async (...args: Parameters<typeof startApi>) => {
      await api.close();
      api = await startApi(...args);
    };
    const upload = async (path: string, length: number, more = '', from?: string, type = 'image/png') => {
      const headers = `Host: localhost\r\n${more}Content-Type: ${type}\r\nContent-Length: ${length}`;
      const connection = await RawConnection.open(
        api.url,
        `PUT ${path} HTTP/1.1\r\n${headers}\r\n\r\n`,
        from,
      );
      connections.push(connection);
      return connection;
    };

    it.each([
      ['a key without the scope', 403, by(read), 'ann', 'image/png'],
      ['no key', 401, '', 'ann', 'image/png'],
      ['a user that cannot be', 400, by(ann), 'a%20n', 'image/png'],
      ['another type', 422, by(ann), 'ann', 'text/plain'],
    ])('should refuse %s before any of the body came', async (_name, status, more, user, type) => {
      const keys = JSON.stringify([ann.entry, read.entry]);
      await restart({ API_KEYS: keys });
      for (const kind of ['avatar', 'photo']) {
        const connection = await upload(`/v1/users/${user}/${kind}`, MB, more, undefined, type);
        expect((await connection.reply()).status).toBe(status);
      }
    });

    it.each([
      ['address', '', '', HOSTILE, OTHER],
      ['key', by(ann), by(bob), undefined, undefined],
    ])('should leave others their places, by %s', async (_name, hostile, honest, from, other) => {
      const keys = hostile ? { API_KEYS: JSON.stringify([ann.entry, bob.entry]) } : {};
      await restart(keys as Record<string, string>, { pictures: 3, picturesPerCaller: 2 });
      const whole = padded(MB);
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      const store = api.storage.put.bind(api.storage);
      const put = jest.spyOn(api.storage, 'put').mockImplementation(async (name, ...rest) => {
        if (name.includes('hostile')) await held;
        return store(name, ...rest);
      });
      const many = await Promise.all(
        Array.from({ length: 6 }, (_, i) => upload(`/v1/users/hostile${i}/avatar`, MB, hostile, from)),
      );
      for (const connection of many) connection.write(whole);
      await until(() => put.mock.calls.length >= 2);
      const connection = await upload('/v1/users/bob/avatar', MB, honest, other);
      connection.write(whole);
      expect((await connection.reply()).status).toBe(200);
      expect(put).toHaveBeenCalledTimes(3);
      release();
      for (const each of many) expect((await each.reply()).status).toBe(200);
    });

    it.each([
      ['stops', 0],
      ['trickles', 1],
    ])('should end a body that %s within seconds', async (_name, bytes) => {
      await restart({}, { bodyTimeout: 60_000, bodyPace: { bytes: 5_000, window: 200 } });
      const connection = await upload('/v1/users/ann/avatar', MB);
      connection.write(padded(70_000));
      const trickle = setInterval(() => connection.write(Buffer.alloc(bytes)), 20);
      const { status, head, body } = await connection.reply();
      clearInterval(trickle);
      expect({ status, body }).toEqual({
        status: 408,
        body: expect.stringContaining('at least 5000 bytes of the body'),
      });
      expect(head).toMatch(/^connection: close$/m);
      await connection.end();
    });

    it('should not ask for a pace where a picture waits for its place', async () => {
      await restart({}, { bodyTimeout: 60_000, bodyPace: { bytes: 5_000, window: 1000 }, pictures: 1 });
      let release = () => {};
      const held = new Promise<void>((resolve) => (release = resolve));
      const put = jest.spyOn(api.storage, 'put').mockReturnValueOnce(held);
      const [first, second] = [
        await upload('/v1/users/ann/avatar', MB),
        await upload('/v1/users/bob/avatar', MB),
      ];
      first.write(padded(MB));
      await until(() => put.mock.calls.length === 1);
      second.write(padded(MB));
      // Longer than the second may be silent where a pace is asked for.
      for (let i = 0; i < 2; i++) {
        const slow = await upload('/v1/users/eve/avatar', MB);
        expect((await slow.reply()).status).toBe(408);
      }
      release();
      for (const each of [first, second]) expect((await each.reply()).status).toBe(200);
    });
  });
});
