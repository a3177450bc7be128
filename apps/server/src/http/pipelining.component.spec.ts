import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import sharp from 'sharp';
import { JobEvents, Jobs } from '@app/jobs';
import { startApi, type Api } from '../../../../test/support/api';
import { openFiles, until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { RawConnection } from '../../../../test/support/raw.connection';
import { HttpLimits } from './http.limits';
import { Pipelining } from './pipelining';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const post = (path: string, body: string, more = '') =>
  `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
const draw = (prompt: string, more?: string) =>
  post('/v1/images/generations', JSON.stringify({ prompt }), more);
const ASYNC = 'Prefer: respond-async\r\n';

describe(Pipelining.name, () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi({}, { pictures: 1, bodyTimeout: 4_000 });
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await api.close();
  });

  /** The path of the events of a job that runs and never ends by itself. */
  async function events(): Promise<string> {
    const held = api.pipeline.hold();
    const { body } = await http(api.url)
      .post('/v1/images/generations')
      .set('Prefer', 'respond-async')
      .send({ prompt: 'x' });
    await held;
    return `/v1/jobs/${(body as { id: string }).id}/events`;
  }
  async function open(text: string): Promise<RawConnection> {
    const connection = await RawConnection.open(api.url, text);
    await connection.until(() => connection.received.includes('retry:'), 'the stream');
    return connection;
  }
  const states = async () => {
    const { body } = await http(api.url).get('/v1/jobs').expect(200);
    return (body as { data: { state: string }[] }).data.map(({ state }) => state);
  };

  describe('when the client leaves', () => {
    it.each([
      ['the files of the docs', '/docs/swagger-ui-bundle.js', 'swagger-ui-bundle.js'],
      ['stored pictures', '/images/generated/large.png', 'generated/large.png'],
    ])('should close %s', async (_name, path, part) => {
      await api.storage.put('generated/large.png', Buffer.alloc(4 * 1024 * 1024), 'image/png');
      // Together more than the kernel takes of what nobody reads.
      const connection = await RawConnection.open(api.url, get(path).repeat(17));
      connection.socket.pause();
      await until(async () => (await openFiles(part)) > 0);
      connection.socket.destroy();
      await until(async () => (await openFiles(part)) === 0);
    });

    it('should end the event streams', async () => {
      const path = await events(); // its run has subscribed, too
      const jobEvents = api.app.get(JobEvents, { strict: false });
      const subscribe = jobEvents.subscribe.bind(jobEvents);
      let subscriptions = 0;
      jest.spyOn(jobEvents, 'subscribe').mockImplementation(async (...args) => {
        const end = await subscribe(...args);
        subscriptions++;
        return () => {
          subscriptions--;
          end();
        };
      });
      const connection = await open(get(path).repeat(3));
      expect(subscriptions).toBeGreaterThan(0);
      connection.socket.destroy();
      await until(() => subscriptions === 0);
    });

    it('should count each request that was begun', async () => {
      const list = jest.spyOn(api.app.get(Jobs, { strict: false }), 'list');
      const connection = await open(get(await events()) + get('/v1/jobs').repeat(3));
      connection.socket.destroy();
      const count = async (metric: string) => {
        const { text } = await http(api.url).get('/metrics').expect(200);
        const line = text.split('\n').find((each) => each.startsWith(metric));
        return Number(line?.split(' ').pop() ?? 0);
      };
      const lists = (status: string) =>
        count(`http_request_duration_seconds_count{method="GET",route="/v1/jobs",status="${status}"}`);
      await until(async () => (await count('image_event_stream_duration_seconds_count')) === 1);
      expect(await lists('aborted')).toBe(list.mock.calls.length);
      await states();
      expect(await lists('200')).toBe(1);
    });

    it('should give back the places of uploads', async () => {
      const png = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c83214' } })
        .png()
        .toBuffer();
      const picture = Buffer.concat([png, Buffer.alloc(200_000)]); // decoders do not mind
      const headers = `Host: localhost\r\nContent-Type: image/png\r\nContent-Length: ${picture.length}\r\n\r\n`;
      const connection = await open(get(await events()));
      for (const user of ['ann', 'bob']) {
        connection.write(`PUT /v1/users/${user}/avatar HTTP/1.1\r\n${headers}`);
        connection.write(picture);
      }
      await until(() => connection.socket.writableLength === 0 || connection.closed);
      connection.socket.destroy();
      await http(api.url)
        .put('/v1/users/eve/avatar')
        .set('Content-Type', 'image/png')
        .send(picture)
        .expect(200);
    });

    it('should cancel the jobs that it waits for', async () => {
      const held = api.pipeline.hold();
      const connection = await RawConnection.open(api.url, draw('a') + draw('b'));
      await held;
      connection.socket.destroy();
      await until(async () => (await states()).every((state) => state === 'cancelled'));
      expect((await states()).length).toBeGreaterThan(0);
    });
  });

  it('should answer in order, each request with its own reply', async () => {
    const ids = Array.from({ length: 17 }, (_, i) => `request-${i}`);
    const texts = ids.map((id, i) =>
      i % 2
        ? draw(id, `${ASYNC}x-request-id: ${id}\r\n`)
        : `GET /nothing/${i} HTTP/1.1\r\nHost: localhost\r\nx-request-id: ${id}\r\n\r\n`,
    );
    const connection = await RawConnection.open(api.url, texts.join(''));
    const replies = () =>
      [...connection.received.matchAll(/HTTP\/1\.1 (\d+) [^]*?x-request-id: (\S+)/gi)].map(
        ([, status, id]) => [status, id],
      );
    await connection.until(() => replies().length === ids.length, 'all replies');
    expect(replies()).toEqual(ids.map((id, i) => [i % 2 ? '202' : '404', id]));
    connection.socket.destroy();
  });

  it.each([
    ['serve', 'that is sent, but not yet known to be', true],
    ['cut', 'that is open', false],
  ])('should %s who sends a large body behind a reply %s', (_verb, _name, writableEnded) => {
    const served = jest.fn();
    const { take } = new Pipelining(served, new HttpLimits());
    const socket = new Socket();
    const exchange = (length: number) => {
      const request = new IncomingMessage(socket);
      request.headers['content-length'] = String(length);
      const response = new ServerResponse(request);
      Object.assign(response, { socket });
      return [request, response] as const;
    };
    const [first, second] = [exchange(0), exchange(200_000)];
    take(...first);
    if (writableEnded) first[1].end();
    take(...second);
    first[1].emit('close');
    expect(served.mock.calls).toEqual(writableEnded ? [first, second] : [first]);
    expect(socket.destroyed).toBe(!writableEnded);
  });

  it('should not run what was sent behind the last reply of a connection', async () => {
    const path = await events();
    const connection = await open(get(path) + draw('never', ASYNC)); // event streams close theirs
    await http(api.url).delete(path.replace('/events', '')).expect(200);
    await connection.end();
    expect(connection.received).toContain('event: error');
    expect(await states()).toEqual(['cancelled']);
  });

  it.each([
    ['more requests than may wait', get('/v1/jobs').repeat(17)],
    [
      'a body that does not fit into memory',
      'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000\r\n\r\n',
    ],
    ['a body of unknown length', 'PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ])('should cut who sends %s behind an open reply', async (_name, text) => {
    const connection = await open(get(await events()));
    connection.write(text);
    await connection.end();
    expect(connection.received.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
  });
});
