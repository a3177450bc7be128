import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { startApi, type Api } from '../../../../test/support/api';
import { RawConnection } from '../../../../test/support/raw.connection';
import { JsonBody } from './json.body';

const LINGER = 300;

interface Refusal {
  readonly error: { readonly code: string; readonly message: string; readonly param: string | null };
}

describe(JsonBody.name, () => {
  let api: Api;
  beforeAll(async () => {
    // Small, so that a test need not send what a picture in the body may have.
    api = await startApi({}, { bodyTimeout: 400, linger: LINGER, pictureBytes: 100 * 1024 });
  });
  afterAll(() => api.close());

  const post = (body: string | Buffer, headers: Record<string, string> = {}) =>
    fetch(`${api.url}/v1/images/generations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'respond-async', ...headers },
      body,
    });
  async function refused(reply: Response, status: number, message: RegExp): Promise<Refusal['error']> {
    const { error } = (await reply.json()) as Refusal;
    expect({ status: reply.status, message: error.message }).toEqual({
      status,
      message: expect.stringMatching(message),
    });
    return error;
  }
  const announce = (length: string) =>
    RawConnection.open(
      api.url,
      `POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${length}\r\n\r\n`,
    );

  it.each([
    ['text/plain', 'Content-Type text/plain'],
    ['application/x-www-form-urlencoded', 'Content-Type application/x-www-form-urlencoded'],
    ['text/json; charset=utf-8', 'Content-Type text/json; charset=utf-8'],
  ])('should say which Content-Type came in place of JSON: %s', async (type, received) => {
    const expected =
      /^Expected a JSON object as the body, with Content-Type application\/json, but received /;
    const { message } = await refused(await post('{"prompt":"x"}', { 'content-type': type }), 400, expected);
    expect(message.replace(expected, '')).toBe(received);
  });

  it('should say that the Content-Type is missing, and that nothing came', async () => {
    const post = (headers: string, body: string) =>
      RawConnection.open(
        api.url,
        `POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`,
      );
    const bare = await (await post('', '{"prompt":"x"}')).reply();
    expect(bare).toMatchObject({ status: 400, body: expect.stringContaining('received no Content-Type') });
    const empty = await (await post('Content-Type: application/json\r\n', '')).reply();
    expect(empty).toMatchObject({ status: 400, body: expect.stringContaining('received nothing') });
  });

  it('should refuse what is announced too large before any of it came, and cut the connection', async () => {
    const connection = await announce('Content-Length: 102401');
    const { status, body } = await connection.reply();
    expect(status).toBe(413);
    expect(body).toContain('at most 102400 bytes but received 102401');
    await connection.end();
  });

  it('should refuse chunks at the byte that is too many, and cut the connection', async () => {
    const connection = await announce('Transfer-Encoding: chunked');
    connection.write(`19000\r\n${' '.repeat(0x19000)}\r\n`);
    expect(connection.received).toBe('');
    connection.write('1\r\n \r\n');
    const { status, body } = await connection.reply();
    expect(status).toBe(413);
    expect(body).toContain('at most 102400 bytes but received more');
    await connection.end();
  });

  it('should keep the connection of a client that ends its refused body', async () => {
    const connection = await announce('Content-Length: 102401');
    await connection.reply();
    connection.write(' '.repeat(102401));
    connection.received = '';
    connection.write('GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect((await connection.reply()).status).toBe(200);
    connection.socket.destroy();
  });

  it('should not ask for a body that it refuses, and ask for another one', async () => {
    const refusedOne = await announce('Expect: 100-continue\r\nContent-Length: 102401');
    expect((await refusedOne.reply()).status).toBe(413);
    expect(refusedOne.received).not.toContain('100 Continue');
    const taken = await announce('Expect: 100-continue\r\nContent-Length: 2');
    await taken.until(() => taken.received.startsWith('HTTP/1.1 100 Continue\r\n\r\n'), '100 Continue');
    taken.received = '';
    taken.write('{}');
    expect((await taken.reply()).status).toBe(400);
    taken.socket.destroy();
  });

  it('should refuse a body that does not come', async () => {
    const connection = await announce('Content-Length: 20');
    connection.write('{');
    const { status, body } = await connection.reply();
    expect(status).toBe(408);
    expect(body).toContain('"request_timeout"');
    await connection.end();
  });

  it('should end a body that does not move within seconds', async () => {
    const impatient = await startApi({}, { bodyTimeout: 60_000, bodyPace: { bytes: 5_000, window: 200 } });
    const connection = await RawConnection.open(
      impatient.url,
      'POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{',
    );
    const { status, head } = await connection.reply();
    expect(status).toBe(408);
    expect(head).toMatch(/^connection: close$/m);
    await connection.end();
    await impatient.close();
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('should unpack %s, up to the limit', async (encoding, pack) => {
    const headers = { 'content-encoding': encoding };
    expect((await post(pack('{"prompt":"a fox"}'), headers)).status).toBe(202);
    const bomb = pack(Buffer.alloc(5 * 1024 * 1024, ' '));
    expect(bomb.length).toBeLessThan(102400);
    await refused(await post(bomb, headers), 413, /at most 102400 bytes but received more/);
    await refused(await post('{"prompt":"a fox"}', headers), 400, new RegExp(`in ${encoding} but received`));
  });

  it('should refuse an encoding that it does not know', async () => {
    for (const encoding of ['zstd', 'constructor', 'gzip, gzip']) {
      const reply = await post('{}', { 'content-encoding': encoding });
      await refused(reply, 400, /not compressed or with gzip, deflate, br/);
    }
  });

  it.each([
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), /not UTF-8/],
    ['half a character', Buffer.from('{"prompt":"é"}', 'latin1'), /not UTF-8/],
    ['a raw NUL', '{"prompt":"a\0b"}', /not valid JSON/],
    ['an escaped NUL', '{"prompt":"a\\u0000b"}', /of text/],
    ['half a surrogate pair', '{"prompt":"\\ud800"}', /of text/],
    ['deep nesting', `{"prompt":${'['.repeat(40_000)}${']'.repeat(40_000)}}`, /nested at most 8 deep/],
    ['a comment', '{"prompt":"x"} // y', /not valid JSON/],
    ['two bodies', '{"prompt":"x"}{"prompt":"y"}', /not valid JSON/],
    ['nothing', '', /received nothing/],
  ])('should refuse %s', async (_name, body, message) => {
    await refused(await post(body), 400, message);
  });

  it.each(['utf-16', 'latin1', 'klingon', '"iso-8859-1"'])('should refuse charset=%s', async (charset) => {
    const reply = await post('{}', { 'content-type': `application/json; charset=${charset}` });
    await refused(reply, 400, /in UTF-8/);
  });

  it('should take UTF-8 by any of its names, with a byte order mark', async () => {
    for (const charset of ['utf-8', 'UTF8', '"utf-8"']) {
      const type = `application/json;charset=${charset}`;
      expect((await post('\ufeff{"prompt":"é"}', { 'content-type': type })).status).toBe(202);
    }
  });

  it('should refuse fields that lead to prototypes by their names, wherever they are', async () => {
    const top = await refused(await post('{"prompt":"x","__proto__":{"seed":1}}'), 400, /documented fields/);
    expect(top.param).toBe('__proto__');
    const deep = await post('{"prompt":"x","loras":[{"name":"night","constructor":{"prototype":{"a":1}}}]}');
    expect((await refused(deep, 400, /documented fields/)).param).toBe('loras.0.constructor');
    expect(({} as { seed?: number; a?: number }).seed).toBeUndefined();
    expect(({} as { seed?: number; a?: number }).a).toBeUndefined();
  });

  it('should take the last of two fields of the same name, as JSON.parse does', async () => {
    const reply = await post('{"prompt":"x","num_inference_steps":0,"num_inference_steps":3}');
    expect(reply.status).toBe(202);
    await refused(await post('{"prompt":"x","seed":1,"seed":-1}'), 400, /received -1$/);
  });
});
