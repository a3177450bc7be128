import { setTimeout as sleep } from 'node:timers/promises';
import { startApi, type Api } from '../../../../test/support/api';
import { http } from '../../../../test/support/http';
import { RawConnection } from '../../../../test/support/raw.connection';
import { answerClientErrors } from './client.errors';

interface Refusal {
  readonly error: { readonly code: string; readonly message: string; readonly type: string };
  readonly request_id: string;
}

describe(answerClientErrors.name, () => {
  let api: Api;
  beforeAll(async () => {
    const short = { headersTimeout: 300, requestTimeout: 700, checkInterval: 50, linger: 200 };
    api = await startApi({}, { ...short, bodyTimeout: 60_000 });
  });
  afterAll(() => api.close());
  afterEach(() => jest.restoreAllMocks());

  const send = (text: string) => RawConnection.open(api.url, text);
  async function refused(connection: RawConnection, status: number, code: string): Promise<string> {
    const reply = await connection.reply();
    const body = JSON.parse(reply.body) as Refusal;
    expect({ status: reply.status, code: body.error.code }).toEqual({ status, code });
    expect(reply.head).toMatch(/^connection: close$/m);
    expect(reply.head).toMatch(/^content-type: application\/json; charset=utf-8$/m);
    expect(reply.head).toContain(`\nx-request-id: ${body.request_id}`);
    await connection.end();
    expect(connection.received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    return reply.head;
  }

  it.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['an unknown method', 'DRAW / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n'],
    ['a length and chunks', 'POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a header with NUL', 'GET / HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n'],
  ])('should answer %s with 400', async (_name, text) => {
    const head = await refused(await send(text), 400, 'invalid_request');
    expect(head).toContain('x-should-retry: false');
  });

  it('should answer a request without Host with 400', async () => {
    const { status, head, body } = await (await send('GET / HTTP/1.1\r\nConnection: close\r\n\r\n')).reply();
    expect(status).toBe(400);
    expect(body).toContain('Expected a Host header');
    expect(head).toContain('x-request-id: ');
    expect((await (await send('GET / HTTP/1.0\r\n\r\n')).reply()).status).toBe(200);
  });

  it('should answer large headers with 431, read late by a client that goes on sending megabytes', async () => {
    const patient = await startApi(); // megabytes may take longer than the bounds above
    const connection = await RawConnection.open(
      patient.url,
      `GET / HTTP/1.1\r\nHost: localhost\r\nA: ${'a'.repeat(10 * 1024 * 1024)}`,
    );
    connection.socket.pause();
    await sleep(100);
    connection.socket.resume();
    await refused(connection, 431, 'headers_too_large');
    await patient.close();
  });

  it('should answer headers that do not come with 408', async () => {
    const head = await refused(await send('GET / HTTP/1.1\r\nHost: localhost\r\n'), 408, 'request_timeout');
    expect(head).toContain('retry-after: 5');
  });

  it('should answer a body that does not come with 408', async () => {
    const headers = 'Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 50';
    const connection = await send(`POST /v1/images/generations HTTP/1.1\r\n${headers}\r\n\r\n{"a"`);
    await refused(connection, 408, 'request_timeout');
  });

  it('should answer CONNECT with 405', async () => {
    const connection = await send('CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n');
    expect(await refused(connection, 405, 'method_not_allowed')).toMatch(/^allow: $/m);
  });

  it('should answer TRACE like any other method, and OPTIONS with what there is', async () => {
    const trace = await (await send('TRACE /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n')).reply();
    expect(trace.status).toBe(405);
    expect(trace.head).toMatch(/^allow: get, head$/m);
    const options = await http(api.url).options('/v1/jobs').set('Origin', 'https://app.example.com');
    expect(options.status).toBe(204);
    expect(options.headers.allow).toMatch(/^GET, HEAD/);
    expect(options.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('should answer a wish to upgrade as if it were none', async () => {
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x';
    const connection = await send(`GET /health/live HTTP/1.1\r\nHost: localhost\r\n${upgrade}\r\n\r\n`);
    expect((await connection.reply()).status).toBe(200);
    connection.socket.destroy();
  });

  it.each([
    ['', ''],
    [', whatever waits behind it', 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('should not answer into the middle of another reply%s', async (_name, waiting) => {
    void api.pipeline.hold();
    const { body } = await http(api.url)
      .post('/v1/images/generations')
      .set('Prefer', 'respond-async')
      .send({ prompt: 'x' });
    const { id } = body as { id: string };
    const connection = await send(`GET /v1/jobs/${id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await connection.until(() => connection.received.includes('retry:'), 'the stream');
    connection.write(`${waiting}no HTTP\r\n\r\n`);
    await connection.end();
    expect(connection.received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
  });
});
