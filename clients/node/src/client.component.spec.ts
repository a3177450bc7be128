import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ImageServiceClient, ImageServiceError, unwrap, type JobEvent } from './index';

const ID = '0123456789abcdef01234567';
const JOB = { id: ID, object: 'job', state: 'queued' };
const PICTURE = { id: ID, created: 1, data: [{ url: 'x', seed: 1 }], timings: {}, warnings: [] };

interface Received {
  readonly call: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
type Answer = (response: ServerResponse) => void;

const json =
  (status: number, body: object, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const refused = (status: number, code: string, headers: Record<string, string>): Answer =>
  json(
    status,
    { error: { message: `It is ${code}`, type: 'server_error', param: 'prompt', code }, request_id: 'r' },
    { 'x-request-id': 'r', ...headers },
  );
const event = (name: string, data: object, id?: string) =>
  `${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
/** An event stream of these chunks, which then ends or breaks. */
const stream =
  (chunks: (string | Buffer)[], end: 'ends' | 'breaks' | 'stays' = 'ends'): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 1\n\n');
    for (const chunk of chunks) response.write(chunk);
    if (end === 'ends') response.end();
    // Once the chunks are out.
    if (end === 'breaks') response.write(': \n\n', () => response.destroy());
  };

describe(ImageServiceClient.name, () => {
  let server: Server;
  let url: string;
  let answers: Answer[];
  let received: Received[];
  const calls = () => received.map(({ call }) => call);

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        received.push({ call: `${request.method} ${request.url}`, headers: request.headers, body });
        const answer = answers.shift();
        if (answer) answer(response);
        else response.destroy();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });
  /** A client of a service that gives these answers, one after the other. */
  function clientOf(...script: Answer[]): ImageServiceClient {
    [answers, received] = [script, []];
    return new ImageServiceClient({ baseUrl: url, apiKey: 'secret' });
  }
  const draw = (client: ImageServiceClient, signal?: AbortSignal) =>
    client.draw('generations', { prompt: 'a fox' }, { signal });
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => {
        throw new Error('It succeeded');
      },
      (error: unknown) => error as ImageServiceError,
    );

  it('should send a request again after Retry-After, as the same one', async () => {
    const client = clientOf(
      refused(503, 'queue_full', { 'retry-after': '0' }),
      json(202, JOB),
      stream([event('result', PICTURE)]),
    );
    await expect(draw(client)).resolves.toEqual(PICTURE);
    const [first, second, third] = received;
    expect(second).toEqual(first);
    expect(first.headers).toMatchObject({ authorization: 'Bearer secret', prefer: 'respond-async' });
    expect(first.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
    expect(JSON.parse(first.body)).toEqual({ prompt: 'a fox' });
    expect(third.call).toBe(`GET /v1/jobs/${ID}/events`);
  });

  it('should send what can be sent twice again when no reply came', async () => {
    const client = clientOf(
      (response) => response.destroy(),
      json(202, JOB),
      stream([event('result', PICTURE)]),
    );
    await draw(client);
    expect(received[1].headers['idempotency-key']).toBe(received[0].headers['idempotency-key']);
    const other = clientOf((response) => response.destroy(), json(202, JOB));
    await expect(other.routes.POST('/v1/images/generations', { body: { prompt: 'x' } })).rejects.toThrow();
    expect(received).toHaveLength(1);
  });

  it.each([
    ['where the service says no', { 'x-should-retry': 'false' }, undefined],
    ['where it would have to wait for minutes', { 'retry-after': '3600' }, 3600],
  ])('should not send a request again %s', async (_, headers, retryAfter) => {
    const client = clientOf(refused(429, 'queue_full', headers), json(202, JOB));
    const error = await failure(draw(client));
    expect(error).toBeInstanceOf(ImageServiceError);
    expect(error).toMatchObject({
      message: 'It is queue_full',
      status: 429,
      code: 'queue_full',
      param: 'prompt',
      requestId: 'r',
      retryAfter,
    });
    expect(received).toHaveLength(1);
  });

  it("should give up after its retries, and name the status of an error that is not the service's", async () => {
    const busy: Answer = (response) => response.writeHead(502, { 'retry-after': '0' }).end('<html>');
    const client = clientOf(busy, busy, busy, json(200, { data: [] }));
    const error = await failure(client.routes.GET('/v1/loras').then((result) => unwrap(result)));
    expect(error).toMatchObject({ message: 'The service answered 502', status: 502, code: undefined });
    expect(received).toHaveLength(3);
  });

  it('should take the picture of a job that is done already when its key comes again', async () => {
    const client = clientOf(json(200, PICTURE), json(200, { ...JOB, state: 'succeeded' }));
    const job = await client.submit('memory', { user_id: 'ada', prompt: 'x' }, { idempotencyKey: 'order-1' });
    expect(job).toMatchObject({ id: ID, state: 'succeeded' });
    expect(calls()).toEqual(['POST /v1/images/memory', `GET /v1/jobs/${ID}`]);
  });

  it('should go on after the last event that it has when a stream breaks or closes', async () => {
    const running = { state: 'running', attempts: 1 };
    const text = Buffer.from(event('progress', { phase: 'sampling', note: '狐' }, '1-2'));
    const client = clientOf(
      // In the middle of a character.
      stream([event('state', running, '1-1'), text.subarray(0, -6), text.subarray(-6)], 'breaks'),
      stream([': heartbeat\n\n', event('preview', { step: 1 }), event('closing', {})]),
      stream([event('state', { state: 'succeeded' }, '1-3'), event('result', PICTURE, 'end')]),
    );
    const events: JobEvent[] = [];
    await client.wait(ID, { previews: true, onEvent: (each) => events.push(each) });
    expect(events.map(({ event, id }) => [event, id])).toEqual([
      ['state', '1-1'],
      ['progress', '1-2'],
      ['preview', undefined],
      ['closing', undefined],
      ['state', '1-3'],
      ['result', 'end'],
    ]);
    expect(events[1].data).toEqual({ phase: 'sampling', note: '狐' });
    expect(calls()).toEqual(Array(3).fill(`GET /v1/jobs/${ID}/events?previews=true`));
    expect(received.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1-2', '1-2']);
  });

  it('should fail as the job did', async () => {
    const detail = { message: 'Too slow', type: 'server_error', param: null, code: 'deadline_exceeded' };
    const client = clientOf(json(202, JOB), stream([event('error', detail, 'end')]));
    const error = await failure(draw(client));
    expect(error).toBeInstanceOf(ImageServiceError);
    expect(error).toMatchObject({ message: 'Too slow', code: 'deadline_exceeded', status: undefined });
  });

  it('should not wait for a job that is not there', async () => {
    const client = clientOf(refused(404, 'job_not_found', { 'x-should-retry': 'false' }));
    expect(await failure(client.wait(ID))).toMatchObject({ status: 404, code: 'job_not_found' });
  });

  it('should cancel the job whose caller does not want it any more', async () => {
    const caller = new AbortController();
    const client = clientOf(
      json(202, JOB),
      (response) => {
        stream([event('state', { state: 'running' }, '1-1')], 'stays')(response);
        caller.abort(new Error('Never mind'));
      },
      json(200, { ...JOB, state: 'cancelled' }),
    );
    expect((await failure(draw(client, caller.signal))).message).toBe('Never mind');
    expect(calls().at(-1)).toBe(`DELETE /v1/jobs/${ID}`);
  });

  it('should fetch a picture by its link without the key, and store one as it is', async () => {
    const file = Buffer.from([0x89, 0x50, 0, 0xff]);
    const client = clientOf((response) => response.end(file), json(200, { user_id: 'ada' }));
    await expect(client.download({ url: `${url}/images/a.png?signature=1` })).resolves.toEqual(
      new Uint8Array(file),
    );
    await client.storePicture('ada', 'avatar', Buffer.from('picture'));
    const [fetched, stored] = received;
    expect(fetched.headers.authorization).toBeUndefined();
    expect(stored).toMatchObject({
      call: 'PUT /v1/users/ada/avatar',
      headers: { authorization: 'Bearer secret', 'content-type': 'application/octet-stream' },
      body: 'picture',
    });
  });
});
