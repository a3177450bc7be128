import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from '@app/errors';
import { http } from '../../../../test/support/http';
import { startJobsApi, type JobsApi } from '../../../../test/support/jobs.api';
import { failed, JOB_ID, running, succeeded } from '../../../../test/support/jobs.stub';
import { Links } from '../results/links';
import { EventStreams } from './event.streams';

interface Received {
  readonly id?: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 1));

/** What an event stream's reader sees. */
class Reader {
  text = '';
  ended = false;
  private wake = () => {};

  constructor(private readonly reply: IncomingMessage) {
    reply.setEncoding('utf8').on('data', (text: string) => {
      this.text += text;
      this.wake();
    });
    reply
      .on('error', () => undefined)
      .on('close', () => {
        this.ended = true;
        this.wake();
      });
  }

  get headers(): IncomingHttpHeaders {
    return this.reply.headers;
  }

  get events(): Received[] {
    const blocks = this.text.split('\n\n').filter((block) => block.includes('event: '));
    return blocks.map((block) => {
      const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]));
      const data = JSON.parse(fields.get('data')!) as Received['data'];
      return { id: fields.get('id'), event: fields.get('event')!, data };
    });
  }

  /** `state running` for each state, else the event's name. */
  get names(): string[] {
    return this.events.map(({ event, data }) =>
      event === 'state' ? `state ${data.state as string}` : event,
    );
  }

  async until(done: (reader: this) => boolean): Promise<this> {
    while (!done(this)) {
      if (this.ended) throw new Error(`The stream ended with ${this.text}`);
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    return this;
  }

  end(): Promise<this> {
    return this.until(({ ended }) => ended);
  }

  leave(): void {
    this.reply.destroy();
  }
}

const STATE = {
  queued: { state: 'queued', attempts: 0 },
  running: { state: 'running', attempts: 1 },
} as const;
const SUCCEEDED = { type: 'state', state: 'succeeded', attempts: 1 } as const;
const sampling = (step: number) =>
  ({ type: 'progress', progress: { phase: 'sampling', step, steps: 50 } }) as const;

describe(EventStreams.name, () => {
  let api: JobsApi;
  const readers: Reader[] = [];
  const start = async (heartbeat?: number) => (api = await startJobsApi(heartbeat));
  afterEach(async () => {
    readers.splice(0).forEach((reader) => reader.leave());
    api.drain.expire();
    await api.app.close();
  });

  function follow(query = '', after?: string): Promise<Reader> {
    const headers = after === undefined ? {} : { 'Last-Event-ID': after };
    return new Promise((resolve, reject) => {
      get(`${api.url}/v1/jobs/${JOB_ID}/events${query}`, { headers, agent: false }, (reply) => {
        const reader = new Reader(reply);
        readers.push(reader);
        resolve(reader);
      }).on('error', reject);
    });
  }
  const emitState = (state: keyof typeof STATE) => api.events.emit({ type: 'state', ...STATE[state] });
  function succeed() {
    api.jobs.put(succeeded);
    api.events.emit(SUCCEEDED);
  }

  it('should open at once, unbuffered, with the state of a job of which nothing is kept', async () => {
    await start();
    api.jobs.put();
    const reader = await follow();
    expect(reader.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    });
    await reader.until(({ events }) => events.length === 1);
    expect(reader.text).toBe('retry: 3000\n\nevent: state\ndata: {"state":"queued","attempts":0}\n\n');
  });

  it('should replay what is kept, go on live and end with the picture', async () => {
    await start();
    api.jobs.put(running);
    emitState('queued');
    emitState('running');
    const reader = await follow();
    await reader.until(({ events }) => events.length === 2);
    api.events.emit(sampling(18));
    succeed();
    await reader.end();
    const job = (await http(api.url).get(`/v1/jobs/${JOB_ID}`)).body as { result: Received['data'] };
    expect(reader.events).toEqual([
      { id: '1-1', event: 'state', data: { state: 'queued', attempts: 0 } },
      { id: '1-2', event: 'state', data: { state: 'running', attempts: 1 } },
      { id: '1-3', event: 'progress', data: { phase: 'sampling', step: 18, steps: 50, percent: 36 } },
      { id: '1-4', event: 'state', data: { state: 'succeeded', attempts: 1 } },
      {
        id: 'end',
        event: 'result',
        data: job.result,
      },
    ]);
    expect(reader.events[4].data).toMatchObject({ id: JOB_ID, data: [{ seed: 42 }] });
  });

  it('should go on after the event that a reader saw last', async () => {
    await start();
    api.jobs.put(running);
    emitState('queued');
    emitState('running');
    [1, 2, 3].forEach((step) => api.events.emit(sampling(step)));
    const reader = await follow('', '1-4');
    succeed();
    await reader.end();
    expect(reader.events.map(({ id }) => id)).toEqual(['1-5', '1-6', 'end']);
  });

  it.each(['1-99', 'nonsense', ''])(
    'should replay everything after "%s", which is no event',
    async (after) => {
      await start();
      api.jobs.put(running);
      emitState('queued');
      emitState('running');
      const reader = await follow('', after);
      await reader.until(({ events }) => events.length === 2);
      expect(reader.names).toEqual(['state queued', 'state running']);
    },
  );

  it('should neither lose nor repeat what happens while it opens', async () => {
    await start();
    api.jobs.put();
    emitState('queued');
    // Subscribed already, not yet read: it comes both ways.
    api.events.onRead = () => {
      emitState('running');
      api.events.emit(sampling(1));
    };
    const reader = await follow();
    api.events.emit(sampling(2));
    await reader.until(({ events }) => events.length === 4);
    expect(reader.events.map(({ id }) => id)).toEqual(['1-1', '1-2', '1-3', '1-4']);
  });

  it('should not tell a state again that the record told before', async () => {
    await start();
    api.jobs.put(running);
    const reader = await follow();
    emitState('running');
    api.events.emit({ type: 'state', state: 'queued', attempts: 1 });
    succeed();
    await reader.end();
    expect(reader.names).toEqual(['state running', 'state queued', 'state succeeded', 'result']);
  });

  describe('of a finished job', () => {
    it('should replay what is kept, then tell what came of it, once', async () => {
      await start();
      emitState('queued');
      emitState('running');
      succeed();
      expect((await (await follow()).end()).names).toEqual([
        'state queued',
        'state running',
        'state succeeded',
        'result',
      ]);
      expect((await (await follow('', '1-3')).end()).names).toEqual(['result']);
    });

    it('should tell its state and why it failed when nothing is kept', async () => {
      await start();
      api.jobs.put(failed);
      const { events } = await (await follow()).end();
      expect(events).toEqual([
        { id: undefined, event: 'state', data: { state: 'failed', attempts: 1 } },
        {
          id: 'end',
          event: 'error',
          data: {
            code: 'out_of_memory',
            message: 'The picture needs more memory',
            param: null,
            type: 'server_error',
          },
        },
      ]);
    });

    it('should hand out a link that was made for this reader', async () => {
      await start();
      const presign = jest.spyOn(api.app.get(Links, { strict: false }), 'picture');
      succeed();
      for (const link of ['https://pictures.example/1', 'https://pictures.example/2']) {
        presign.mockResolvedValueOnce(link);
        const { events } = await (await follow()).end();
        expect(events.at(-1)).toMatchObject({ event: 'result', data: { data: [{ url: link }] } });
      }
    });

    it('should answer 503 instead of a stream when no link can be made', async () => {
      await start();
      const unavailable = new ServiceError('storage_unavailable', 'No credentials');
      jest.spyOn(api.app.get(Links, { strict: false }), 'picture').mockRejectedValue(unavailable);
      succeed();
      const { status, body } = await http(api.url).get(`/v1/jobs/${JOB_ID}/events`);
      expect(status).toBe(503);
      expect(body).toMatchObject({ error: { code: 'storage_unavailable' } });
      while (api.events.subscriptions.size > 0) await pause();
    });

    it('should tell a reader that saw the end to stay away', async () => {
      await start();
      succeed();
      const path = `/v1/jobs/${JOB_ID}/events`;
      const { status, text } = await http(api.url).get(path).set('Last-Event-ID', 'end');
      expect([status, text]).toEqual([204, '']);
    });
  });

  it('should find the end of a job by its record when the event is lost, and beat until then', async () => {
    await start(20);
    api.jobs.put(running);
    const reader = await follow();
    await reader.until(({ text }) => text.split(': heartbeat\n\n').length > 2);
    expect(reader.names).toEqual(['state running']);
    api.jobs.put(succeeded);
    await reader.end();
    expect(reader.names).toEqual(['state running', 'state succeeded', 'result']);
  });

  it('should stay with a reader that takes its heartbeats, however little happens', async () => {
    await start(20);
    api.jobs.put();
    const reader = await follow();
    await reader.until(({ text }) => text.split(': heartbeat\n\n').length > 15);
    expect(reader.names).toEqual(['state queued']);
  });

  it('should wait for the next heartbeat when no link can be made as the job ends', async () => {
    await start(20);
    api.jobs.put(running);
    const links = api.app.get(Links, { strict: false });
    const unavailable = new ServiceError('storage_unavailable', 'No credentials');
    const presign = jest.spyOn(links, 'picture').mockRejectedValue(unavailable);
    const reader = await follow();
    succeed();
    const { text } = await reader.until(({ names }) => names.includes('state succeeded'));
    await reader.until((now) => now.text.length > text.length + 2 * ': heartbeat'.length);
    expect(reader.names).toEqual(['state running', 'state succeeded']);
    presign.mockResolvedValue('https://pictures.example/1');
    await reader.end();
    expect(reader.names).toEqual(['state running', 'state succeeded', 'result']);
  });

  it('should end when the job is removed', async () => {
    await start(20);
    api.jobs.put(running);
    const reader = await follow();
    api.jobs.records.clear();
    await reader.end();
    expect(reader.names).toEqual(['state running', 'error']);
    expect(reader.events[1].data).toMatchObject({ code: 'job_not_found' });
  });

  it('should answer 404 instead of a stream for a job that nobody knows', async () => {
    await start();
    const { status, body, type } = await http(api.url).get(`/v1/jobs/${JOB_ID}/events`);
    expect([status, type]).toEqual([404, 'application/json']);
    expect(body).toMatchObject({ error: { code: 'job_not_found' } });
    expect(api.events.subscriptions.size).toBe(0);
  });

  it('should answer HEAD without a stream', async () => {
    await start();
    api.jobs.put();
    const { status, type } = await http(api.url).head(`/v1/jobs/${JOB_ID}/events`);
    expect([status, type]).toEqual([200, 'text/event-stream']);
    expect(api.events.subscriptions.size).toBe(0);
  });

  it('should send previews, without an id, to those who want them', async () => {
    await start();
    api.jobs.put(running);
    const [eager, plain] = [await follow('?previews=true'), await follow('?previews=false')];
    const preview = { step: 5, width: 128, height: 128, jpeg: '/9j/4AAQ' };
    api.events.emit({ type: 'preview', preview });
    api.events.emit(sampling(6));
    api.events.emit({ type: 'preview', preview: { ...preview, step: 6 } });
    succeed();
    expect((await plain.end()).names).toEqual(['state running', 'progress', 'state succeeded', 'result']);
    await eager.end();
    expect(eager.names).toEqual([
      'state running',
      'preview',
      'progress',
      'preview',
      'state succeeded',
      'result',
    ]);
    expect(eager.events[1]).toEqual({ id: undefined, event: 'preview', data: preview });
  });

  it('should refuse previews=perhaps before the stream opens', async () => {
    await start();
    api.jobs.put(running);
    const { status, body } = await http(api.url).get(`/v1/jobs/${JOB_ID}/events?previews=perhaps`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { code: 'invalid_request', param: 'previews' } });
  });

  it('should let go of a reader that leaves', async () => {
    await start();
    api.jobs.put(running);
    const reader = await follow();
    expect(api.events.subscriptions.size).toBe(1);
    reader.leave();
    while (api.events.subscriptions.size > 0) await pause();
  });

  describe('with a reader that does not read', () => {
    const PREVIEWS = 300;
    const jpeg = 'x'.repeat(100 * 1024);

    /** A connection on which everything is full: the kernel's buffers and what a reader may be behind. */
    async function stall(heartbeat?: number) {
      await start(heartbeat);
      api.jobs.put(running);
      const socket = connect(Number(new URL(api.url).port), '127.0.0.1').on('error', () => undefined);
      socket.write(`GET /v1/jobs/${JOB_ID}/events?previews=true HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      while (api.events.subscriptions.size === 0) await pause();
      for (let step = 1; step <= PREVIEWS; step++) {
        api.events.emit({ type: 'preview', preview: { step, width: 128, height: 128, jpeg } });
        await pause();
      }
      return socket;
    }

    it('should drop progress and previews for it, but no state and no result', async () => {
      const socket = await stall();
      api.events.emit(sampling(21));
      api.events.emit({ type: 'state', state: 'queued', attempts: 1 });
      succeed();
      let text = '';
      for await (const chunk of socket.setEncoding('utf8')) text += chunk as string;
      expect(text.match(/event: preview/g)!.length).toBeLessThan(PREVIEWS);
      expect(text).not.toContain('event: progress');
      expect(text.match(/"state":"\w+"/g)).toEqual([
        '"state":"running"',
        '"state":"queued"',
        '"state":"succeeded"',
      ]);
      expect(text.match(/event: result/g)).toHaveLength(1);
    });

    it('should hang up on it after three heartbeats of which it took nothing', async () => {
      const socket = await stall(20);
      while (api.events.subscriptions.size > 0) await pause();
      socket.destroy();
    });

    it('should hang up on it when even the states pile up', async () => {
      const socket = await stall();
      for (let attempts = 1; attempts < 10_000; attempts++) {
        api.events.emit({ type: 'state', state: 'queued', attempts });
        api.events.emit({ type: 'state', state: 'running', attempts: attempts + 1 });
      }
      while (api.events.subscriptions.size > 0) await pause();
      socket.destroy();
    });
  });

  it('should serve a thousand readers of one job, and look at its record once for all of them', async () => {
    await start();
    api.jobs.put(running);
    emitState('running');
    const crowd: Reader[] = [];
    // A listening socket holds 511 connections that are not yet accepted; the kernel may reset others.
    for (let hundred = 0; hundred < 10; hundred++)
      crowd.push(...(await Promise.all(Array.from({ length: 100 }, () => follow()))));
    expect(api.events.subscriptions.size).toBe(1000);
    api.jobs.finds = 0;
    const presign = jest.spyOn(api.app.get(Links, { strict: false }), 'picture');
    api.events.emit(sampling(25));
    succeed();
    await Promise.all(crowd.map((reader) => reader.end()));
    const seen = new Set(crowd.map(({ names }) => names.join()));
    expect([...seen]).toEqual(['state running,progress,state succeeded,result']);
    expect(api.jobs.finds).toBe(1);
    expect(presign).toHaveBeenCalledTimes(1);
  }, 30_000);

  describe('as the process ends', () => {
    it('should take leave at once of the readers of a job that waits', async () => {
      await start();
      api.jobs.put();
      const crowd = [await follow(), await follow()];
      api.drain.begin();
      for (const reader of crowd) {
        await reader.end();
        expect(reader.names).toEqual(['state queued', 'closing']);
      }
    });

    it('should follow a job that runs to its result, and close the server only then', async () => {
      await start();
      api.jobs.put(running);
      const reader = await follow();
      let closed = false;
      const close = api.app.close().then(() => (closed = true));
      await reader.until(({ events }) => events.length === 1);
      api.events.emit(sampling(20));
      await reader.until(({ events }) => events.length === 2);
      await sleep(40);
      expect(closed).toBe(false);
      succeed();
      await reader.end();
      expect(reader.names).toEqual(['state running', 'progress', 'state succeeded', 'result']);
      await close;
    });

    it('should find the result of a job whose end nobody told', async () => {
      await start();
      api.jobs.put(running);
      const reader = await follow();
      api.drain.begin();
      api.jobs.put(succeeded);
      await reader.end();
      expect(reader.names).toEqual(['state running', 'state succeeded', 'result']);
    });

    it('should take leave of every reader when the grace is over, so that the server can close', async () => {
      await start();
      api.jobs.put(running);
      const crowd = [await follow(), await follow()];
      const close = api.app.close();
      await sleep(40);
      expect(crowd.map(({ ended }) => ended)).toEqual([false, false]);
      api.drain.expire();
      for (const reader of crowd) {
        await reader.end();
        expect(reader.names).toEqual(['state running', 'closing']);
      }
      await close;
    });

    it('should not wait for a job whose last reader has gone', async () => {
      await start();
      api.jobs.put(running);
      const reader = await follow();
      const close = api.app.close();
      reader.leave();
      await close;
    });

    it('should send who comes yet, or comes back, to another process: EventSource takes a 503 for the end', async () => {
      await start();
      api.jobs.put(running);
      api.drain.begin();
      const { status, text } = await http(api.url).get(`/v1/jobs/${JOB_ID}/events`);
      expect(status).toBe(200);
      expect(text).toMatch(/^retry: \d+\n\n[^]*event: state\n[^]*event: closing\ndata: {}\n\n$/);
    });

    it('should still tell what came of a job that is finished', async () => {
      await start();
      api.jobs.put(succeeded);
      api.drain.begin();
      const { text } = await http(api.url).get(`/v1/jobs/${JOB_ID}/events`);
      expect(text).toContain('event: result');
      expect(text).not.toContain('closing');
    });
  });
});
