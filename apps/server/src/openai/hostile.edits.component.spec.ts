import type pLimit from 'p-limit';
import sharp from 'sharp';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { RawConnection } from '../../../../test/support/raw.connection';
import { LargeBodies } from '../http/large.bodies';

const KB = 1024;
const PART = (name: string, more = '') =>
  `--edge\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n`;
const FILE = PART('image', '; filename="a.png"');
const CHUNKED = (text: string | Buffer) =>
  Buffer.concat([Buffer.from(`${text.length.toString(16)}\r\n`), Buffer.from(text), Buffer.from('\r\n')]);

describe('A form that is meant ill', () => {
  const reader = key('reader', ['read']);
  let api: Api;
  let green: Buffer;
  const connections: RawConnection[] = [];

  beforeAll(async () => {
    green = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#00ff00' } })
      .png()
      .toBuffer();
  });
  const start = async (...[variables, limits]: Parameters<typeof startApi>) => {
    const small = { pictureBytes: 256 * KB, formBytes: 512 * KB, freeBytes: KB, pictures: 1, linger: 200 };
    api = await startApi(variables, { ...small, ...limits });
  };
  afterEach(async () => {
    connections.splice(0).forEach(({ socket }) => socket.destroy());
    await api.close();
  });

  /** Its body is chunked, as of a client that streams a file, and ends when the test says so. */
  const begin = async (body: string | Buffer, headers = '', boundary = 'edge') => {
    const type = `Content-Type: multipart/form-data; boundary=${boundary}`;
    const head = `POST /v1/images/edits HTTP/1.1\r\nHost: localhost\r\n${headers}${type}\r\n`;
    const connection = await RawConnection.open(api.url, `${head}Transfer-Encoding: chunked\r\n\r\n`);
    connections.push(connection);
    if (body.length > 0) connection.write(CHUNKED(body));
    return connection;
  };
  const good = () =>
    http(api.url)
      .post('/v1/images/edits')
      .attach('image', green, 'a.png')
      .field({ prompt: 'x', size: '64x64' });
  const refused = async (connection: RawConnection) => {
    const { status, body } = await connection.reply();
    return { status, ...(JSON.parse(body) as { error: object }).error };
  };

  it('should be judged by its key before any of it came', async () => {
    await start({ API_KEYS: JSON.stringify([reader.entry]) });
    const authorization = `Authorization: ${reader.header.authorization}\r\n`;
    expect(await refused(await begin('', authorization))).toMatchObject({ status: 403, code: 'forbidden' });
    expect(await refused(await begin(''))).toMatchObject({ status: 401 });
  });

  it.each([
    ['a file that never ends', FILE, 'image', /262144 bytes for image/],
    ['a file of another field that never ends', PART('overlay', '; filename="b"'), 'overlay', /for overlay/],
    ['a text that never ends', PART('prompt'), null, /a body of at most 524288 bytes/],
  ])('should be refused while %s still comes', async (_name, part, param, message) => {
    await start();
    const connection = await begin(part);
    for (let i = 0; i < 9 && connection.received === ''; i++)
      connection.write(CHUNKED(Buffer.alloc(64 * KB)));
    expect(await refused(connection)).toMatchObject({
      ...{ status: 413, code: 'payload_too_large', param },
      message: expect.stringMatching(message),
    });
    await good().expect(200);
  });

  it('should be refused where its parts are too large together', async () => {
    await start();
    const connection = await begin(Buffer.concat([Buffer.from(FILE), Buffer.alloc(200 * KB)]));
    for (let i = 0; i < 2; i++)
      connection.write(CHUNKED(Buffer.concat([Buffer.from(`\r\n${FILE}`), Buffer.alloc(200 * KB)])));
    expect(await refused(connection)).toMatchObject({
      ...{ status: 413, message: expect.stringMatching(/a body of at most 524288 bytes/) },
    });
  });

  it('should be refused with its first part too many, of thousands', async () => {
    await start();
    const connection = await begin(`${PART('field')}x\r\n`.repeat(5_000));
    expect(await refused(connection)).toMatchObject({
      ...{ status: 400, message: expect.stringMatching(/at most 100 parts/) },
    });
  });

  it.each([
    ['under another boundary', 'other'],
    ['without one', '""'],
  ])('should be refused %s', async (_name, boundary) => {
    await start();
    const connection = await begin(`${FILE}x\r\n--edge--\r\n`, '', boundary);
    connection.write('0\r\n\r\n');
    expect(await refused(connection)).toMatchObject({ status: 400, code: 'invalid_request' });
    await good().expect(200);
  });

  it('should free its place where its client leaves in the middle of a part', async () => {
    await start({}, { bodyTimeout: 60_000 });
    const held = await begin(Buffer.concat([Buffer.from(FILE), Buffer.alloc(10 * KB)]));
    // The one place is taken: another form is not read to its end.
    const { places } = api.app.get<{ places: pLimit.Limit }>(LargeBodies, { strict: false });
    await until(() => places.activeCount === 1);
    let answered = false;
    const waiting = good().then((reply) => {
      answered = true;
      return reply;
    });
    await http(api.url).get('/v1/models').expect(200);
    expect(answered).toBe(false);
    held.socket.destroy();
    expect((await waiting).status).toBe(200);
  });

  it('should be refused where it trickles', async () => {
    await start({}, { bodyTimeout: 60_000, bodyPace: { bytes: 5_000, window: 200 } });
    const connection = await begin(Buffer.concat([Buffer.from(FILE), Buffer.alloc(10 * KB)]));
    const trickle = setInterval(() => connection.write(CHUNKED('x')), 20);
    expect(await refused(connection)).toMatchObject({ status: 408, code: 'request_timeout' });
    clearInterval(trickle);
  });

  it('should be refused compressed, and as another kind of multipart', async () => {
    await start();
    const gzip = await begin(FILE, 'Content-Encoding: gzip\r\n');
    expect(await refused(gzip)).toMatchObject({ message: expect.stringMatching(/not compressed/) });
    const { body } = await http(api.url)
      .post('/v1/images/edits')
      .set('Content-Type', 'multipart/mixed; boundary=edge')
      .send('--edge--');
    expect(body).toMatchObject({ error: { message: expect.stringMatching(/multipart\/mixed/) } });
  });
});
