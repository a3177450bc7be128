import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp from 'sharp';
import { Jobs } from '@app/jobs';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { key } from '../../../../test/support/keys';
import { ReferenceFetcher } from './reference.fetcher';

const HOSTILE = key('hostile', ['draw', 'read']);
const HONEST = key('honest', ['draw', 'read']);

describe('Reference pictures of many callers', () => {
  const servers: Server[] = [];
  const pending = new Set<Promise<unknown>>();
  let api: Api;
  let fetcher: ReferenceFetcher;
  /** Requests that the silent server got. */
  let asked: number;
  let silent: string;
  let picture: string;

  async function serve(listener: RequestListener, host: string): Promise<string> {
    const server = createServer(listener);
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return `http://${host}:${(server.address() as AddressInfo).port}`;
  }

  beforeEach(async () => {
    const API_KEYS = JSON.stringify([HOSTILE.entry, HONEST.entry]);
    api = await startApi({ API_KEYS, REFERENCE_URL_ALLOW: '127.0.0.0/8' });
    fetcher = api.app.get(ReferenceFetcher);
    // So long that no spec could wait for them: what ends, ends by its turn.
    fetcher.firstByte = fetcher.timeout = fetcher.places.patience = 120_000;
    asked = 0;
    silent = await serve(() => void asked++, '127.0.0.2');
    const bytes = await sharp({ create: { width: 300, height: 224, channels: 3, background: '#0000ff' } })
      .png()
      .toBuffer();
    picture = await serve((_request, response) => response.end(bytes), '127.0.0.3');
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await Promise.all(pending);
    await api.close();
  });

  const post = (caller: typeof HONEST, url: string, user?: string, prefer = 'wait=60') =>
    http(api.url)
      .post('/v1/images/generations')
      .set({ ...caller.header, prefer })
      .send({ prompt: 'x', reference_image_url: url, user })
      .then((reply) => reply);
  /** As many requests as nothing answers, once the service waits for those whose turn it is. */
  async function flood(caller: typeof HONEST, turns: number, user?: string): Promise<void> {
    const before = asked;
    for (let n = 0; n < 24; n++) {
      const reply = post(caller, silent, user).catch(() => undefined);
      pending.add(reply);
      void reply.then(() => pending.delete(reply));
    }
    await until(() => asked === before + turns);
  }

  it('should be fetched for one caller while addresses of another never answer', async () => {
    await flood(HOSTILE, 4);
    expect((await post(HONEST, picture)).status).toBe(200);
    expect((await post(HONEST, picture, undefined, 'respond-async')).status).toBe(202);
    expect([pending.size, asked]).toEqual([24, 4]);
  });

  it('should be fetched for one user of a key while addresses of another never answer', async () => {
    await flood(HONEST, 2, 'ann');
    expect((await post(HONEST, picture, 'bob')).status).toBe(200);
    expect(pending.size).toBe(24);
  });

  it('should be fetched from one host while another never answers', async () => {
    await flood(HONEST, 4);
    expect((await post(HONEST, picture)).status).toBe(200);
    expect(pending.size).toBe(24);
  });

  it('should not wait longer for a turn than a caller may be kept', async () => {
    await flood(HOSTILE, 4);
    fetcher.places.patience = 10;
    const { status, body, headers } = await post(HOSTILE, silent);
    expect({ status, body: body as object }).toMatchObject({
      status: 503,
      body: { error: { code: 'queue_full', param: 'reference_image_url' } },
    });
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(asked).toBe(4);
  });

  it('should give its turn to the next when it ends', async () => {
    await flood(HOSTILE, 4);
    const [connection] = servers;
    connection.closeAllConnections(); // the four that were fetched fail
    await until(() => asked === 8);
  });

  it('should count into what the caller would wait, and into the deadline', async () => {
    const bytes = Buffer.from(await (await fetch(picture)).arrayBuffer());
    const slow = await serve(
      (_request, response) => void setTimeout(() => response.end(bytes), 1100),
      '127.0.0.4',
    );
    const jobs = api.app.get(Jobs);
    const wasOver: boolean[] = [];
    const finished = jobs.finished.bind(jobs);
    jest.spyOn(jobs, 'finished').mockImplementation((id, signal) => {
      wasOver.push(signal.aborted);
      return finished(id, signal);
    });
    api.pipeline.work = (signal) =>
      new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    const reply = await http(api.url)
      .post('/v1/images/generations')
      .set({ ...HONEST.header, prefer: 'wait=1' })
      .send({ prompt: 'x', reference_image_url: slow, deadline_seconds: 600 });
    expect(reply.status).toBe(202);
    expect(wasOver).toEqual([true]);
    // When it was fetched: the picture took longer than a second.
    const [{ createdAt, deadlineAt }] = (await jobs.list({ limit: 1 })).jobs;
    expect(createdAt).toBeLessThanOrEqual(Date.now() - 1000);
    expect(deadlineAt - 600_000).toBe(createdAt);
  });
});
