import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import sharp from 'sharp';
import { Webhook } from 'standardwebhooks';
import { temporaryFolder } from '../support/demo';
import { allEvents } from '../support/event.source';
import { marksOf, readParameters } from '../support/parameters.reader';
import { FEW_PICTURES, NO_REFERENCES, Service, type Job } from '../support/service';

const ROUTE = '/v1/images/generations';
/** The cheapest picture: prompts cost most of its time, and without guidance only one is encoded. */
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
/** Longer than any of these tests waits. */
const LONG = { prompt: 'a fox', size: '192x192', num_inference_steps: 150, guidance_scale: 1 };
const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
const SECRET = `whsec_${randomBytes(24).toString('base64')}`;

interface Failure {
  error: { code: string; message: string; param: string | null };
}

describe('Jobs', () => {
  const DATA_DIR = temporaryFolder();
  const variables = {
    ...NO_REFERENCES, // one picture but
    DATA_DIR,
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_URL_ALLOW: '127.0.0.1',
    QUEUE_LIMIT_PER_USER: '3',
  };
  let service: Service;

  beforeAll(async () => {
    service = await Service.startReady(variables);
  });
  afterAll(() => service?.stop('SIGKILL'));

  const results = () => {
    const root = join(DATA_DIR, 'generated');
    mkdirSync(root, { recursive: true });
    return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.png'));
  };
  const inputs = () => {
    mkdirSync(join(DATA_DIR, 'inputs'), { recursive: true });
    return readdirSync(join(DATA_DIR, 'inputs'));
  };
  const events = (id: string, query = '') => allEvents(`${service.url}/v1/jobs/${id}/events${query}`);
  const cancel = (id: string) => fetch(`${service.url}/v1/jobs/${id}`, { method: 'DELETE' });
  const code = async (response: Response) => ((await response.json()) as Failure).error.code;

  describe('a job that nobody waits for', () => {
    let job: Job;

    it('should be told step by step, with previews, and end with its picture', async () => {
      const response = await service.post(ROUTE, { ...SMALL, num_inference_steps: 4 }, undefined, {
        prefer: 'respond-async, handling=lenient',
      });
      job = (await response.json()) as Job;
      expect(response.status).toBe(202);
      expect(response.headers.get('location')).toBe(`/v1/jobs/${job.id}`);
      expect(response.headers.get('preference-applied')).toBe('respond-async');

      const told = await events(job.id, '?previews=true');
      const names = told.map(({ event }) => event);
      expect(told.filter(({ event }) => event === 'state').map(({ data }) => data.state)).toEqual([
        'queued',
        'running',
        'succeeded',
      ]);
      const steps = told.filter(({ event, data }) => event === 'progress' && data.phase === 'sampling');
      expect(steps.map(({ data }) => data.step)).toEqual(expect.arrayContaining([1, 2, 3, 4]));
      expect(names.at(-1)).toBe('result');
      const previews = told.filter(({ event }) => event === 'preview');
      expect(previews.length).toBeGreaterThan(0);
      const jpeg = Buffer.from(previews[0].data.jpeg as string, 'base64');
      expect(await sharp(jpeg).metadata()).toMatchObject({ format: 'jpeg', width: 8, height: 8 });

      job = await service.job(job.id);
      expect(job).toMatchObject({ state: 'succeeded', attempts: 1, error: null });
      expect(told.at(-1)!.data).toEqual(job.result);
      const picture = await fetch(service.url + new URL(job.result!.data[0].url).pathname);
      expect(picture.headers.get('content-type')).toBe('image/png');
      const { parameters, source } = await marksOf(await picture.arrayBuffer());
      expect(parameters.map(readParameters)).toMatchObject([{ Steps: '4', Size: '64x64', Seed: '7' }]);
      expect(source).toMatch(/\/trainedAlgorithmicMedia$/);
    });

    it('should replay its end, and only what came after Last-Event-ID', async () => {
      const again = await events(job.id);
      // Of a finished job only its states are kept.
      expect(again.slice(0, -1).map(({ event }) => event)).toEqual(['state', 'state', 'state']);
      expect(again.at(-1)).toMatchObject({ event: 'result' });
      const last = again.findLast(({ event }) => event === 'state')!;
      const rest = await allEvents(`${service.url}/v1/jobs/${job.id}/events`, { 'last-event-id': last.id! });
      expect(rest.map(({ event }) => event)).toEqual(['result']);
    });

    it('should be removed with its picture by the same call that would have cancelled it', async () => {
      const before = results();
      expect((await cancel(job.id)).status).toBe(204);
      expect(before.filter((name) => !results().includes(name))).toEqual([`${job.id}.png`]);
      expect((await fetch(service.url + new URL(job.result!.data[0].url).pathname)).status).toBe(404);
      const again = await cancel(job.id);
      expect(again.status).toBe(404);
      expect(await code(again)).toBe('job_not_found');
    });
  });

  it('should answer 202 when the wait of the caller is over, cancel in a moment, and keep nothing', async () => {
    const before = results();
    const response = await service.post(ROUTE, LONG, undefined, { prefer: 'wait=1' });
    expect(response.status).toBe(202);
    expect(response.headers.get('preference-applied')).toBe('wait=1');
    const { id } = (await response.json()) as Job;
    const asked = performance.now();
    const cancelled = await cancel(id);
    const took = performance.now() - asked;
    expect(((await cancelled.json()) as Job).state).toBe('cancelled');
    expect(took).toBeLessThan(1000);
    expect((await cancel(id)).status).toBe(200);
    expect((await events(id)).at(-1)).toMatchObject({ event: 'error', data: { code: 'cancelled' } });
    await service.until(async () => (await engineState()) === 'ready', 'is free again');
    expect(results()).toEqual(before);
  });

  it('should make one picture of one Idempotency-Key, whoever leaves, and refuse another body', async () => {
    const key = { 'idempotency-key': 'a-key' };
    const leaver = new AbortController();
    const left = service.post(ROUTE, SMALL, leaver.signal, key).catch(() => 'left');
    const others = Array.from({ length: 49 }, () => service.post(ROUTE, SMALL, undefined, key));
    await service.until(async () => (await engineState()) === 'busy', 'draws');
    leaver.abort();
    const replies = (await Promise.all((await Promise.all(others)).map((response) => response.json()))) as {
      id: string;
    }[];
    expect(await left).toBe('left');
    expect(new Set(replies.map(({ id }) => id)).size).toBe(1);
    expect(results().filter((name) => name.includes(replies[0].id))).toHaveLength(1);

    const replay = await service.post(
      ROUTE,
      Object.fromEntries(Object.entries(SMALL).reverse()),
      undefined,
      key,
    );
    expect(replay.headers.get('idempotency-replayed')).toBe('true');
    expect(await replay.json()).toEqual(replies[0]);
    const other = await service.post(ROUTE, { ...SMALL, seed: 8 }, undefined, key);
    expect(other.status).toBe(422);
    expect(await code(other)).toBe('idempotency_mismatch');
    const long = await service.post(ROUTE, SMALL, undefined, { 'idempotency-key': 'x'.repeat(256) });
    expect(((await long.json()) as Failure).error).toMatchObject({ param: 'Idempotency-Key' });
  });

  it('should tell the webhook, signed', async () => {
    const received: { headers: IncomingHttpHeaders; body: string }[] = [];
    const receiver = createServer((request, response) => {
      void text(request).then((body) => {
        received.push({ headers: request.headers, body });
        response.end();
      });
    }).listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const webhook_url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    const id = await service.submit(ROUTE, { ...SMALL, webhook_url });
    await service.until(() => received.length > 0, 'calls the webhook');
    const [{ headers, body }] = received;
    expect(new Webhook(SECRET).verify(body, headers as Record<string, string>)).toMatchObject({
      type: 'job.succeeded',
      data: { id, state: 'succeeded' },
    });
    await service.until(
      async () => (await service.job(id)).webhook?.deliveries[0]?.status === 'delivered',
      'notes the delivery',
    );
    receiver.close();
    for (const url of ['file:///etc/passwd', 'http://10.0.0.1/', 'http://192.168.0.1/']) {
      const refused = await service.post(ROUTE, { ...SMALL, webhook_url: url });
      expect(refused.status).toBe(400);
      expect(((await refused.json()) as Failure).error.param).toBe('webhook_url');
    }
  });

  it('should let another caller start next, bound what one caller has waiting, and expire what is late', async () => {
    const running = await service.submit(ROUTE, { ...LONG, user: 'greedy' });
    await service.jobUntil(running, 'running');
    const waiting = [
      await service.submit(ROUTE, { ...LONG, user: 'greedy' }),
      await service.submit(ROUTE, { ...LONG, user: 'greedy' }),
    ];
    const full = await service.post(ROUTE, { ...LONG, user: 'greedy' });
    expect(full.status).toBe(429);
    expect(Number(full.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await code(full)).toBe('queue_full');

    const modest = await service.submit(ROUTE, { ...LONG, user: 'modest' });
    // One of the greedy's is fetched ahead already.
    expect((await service.job(modest)).position).toBeLessThanOrEqual(2);
    expect((await service.job(waiting[1])).position).toBe(3);

    const late = await service.post(ROUTE, { ...SMALL, deadline_seconds: 1 });
    expect(late.status).toBe(504);
    expect(await code(late)).toBe('deadline_exceeded');
    for (const id of [...waiting, modest, running]) await cancel(id);
    await service.until(async () => (await engineState()) === 'ready', 'is free again');
  });

  it('should stop a picture at its deadline', async () => {
    const response = await service.post(ROUTE, { ...LONG, deadline_seconds: 2 });
    expect(response.status).toBe(504);
    await service.until(async () => (await engineState()) === 'ready', 'is free again');
  });

  it('should draw again what an engine died under, and give up what kills it twice', async () => {
    const doomed = await service.submit(ROUTE, LONG);
    for (const attempt of [1, 2]) {
      await service.until(async () => {
        const { state, attempts, progress } = await service.job(doomed);
        return state === 'running' && attempts === attempt && (progress?.phase ?? 'queued') !== 'queued';
      }, `draws it the ${attempt}. time`);
      process.kill(service.enginePid!, 'SIGKILL');
      if (attempt === 1) await service.jobUntil(doomed, 'queued', 'running');
    }
    expect(await service.jobUntil(doomed, 'failed')).toMatchObject({
      attempts: 2,
      error: { code: 'engine_crashed' },
    });
    // The caller of a job that died once notices nothing.
    await service.ready();
    const answer = service.post(ROUTE, SMALL);
    await service.until(async () => (await engineState()) === 'busy', 'draws');
    process.kill(service.enginePid!, 'SIGKILL');
    expect((await answer).status).toBe(200);
  });

  it('should refuse a second process on its folder with a sentence', async () => {
    await expect(Service.start({ DATA_DIR })).rejects.toThrow(/DATA_DIR/);
  });

  it('should finish every accepted job after everything was killed at once, each stored once', async () => {
    await service.putPicture('/v1/users/ada/avatar', PANDA);
    const before = results();
    const memory = { ...SMALL, user_id: 'ada' };
    const ids = [
      await service.submit(ROUTE, SMALL),
      await service.submit('/v1/images/memory', memory),
      await service.submit(ROUTE, { ...SMALL, seed: 9 }, { 'idempotency-key': 'survivor' }),
    ];
    await service.jobUntil(ids[0], 'running');
    await service.killGroup();
    service = await Service.startReady(variables);
    for (const id of ids)
      expect(await service.jobUntil(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded' });
    expect(results().length - before.length).toBe(3);
    expect(inputs()).toEqual([]);
    const replay = await service.post(ROUTE, { ...SMALL, seed: 9 }, undefined, {
      'idempotency-key': 'survivor',
    });
    expect(replay.headers.get('idempotency-replayed')).toBe('true');
    expect(readFileSync(join(DATA_DIR, 'generated', `${ids[2]}.png`)).length).toBeGreaterThan(0);
  });

  it('should leave waiting jobs to the next process on SIGTERM', async () => {
    const ids = [await service.submit(ROUTE, SMALL), await service.submit(ROUTE, SMALL)];
    await service.jobUntil(ids[0], 'running', 'succeeded');
    expect(await service.stop()).toEqual({ code: 0, signal: null });
    service = await Service.startReady(variables);
    for (const id of ids)
      expect(await service.jobUntil(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded' });
  });

  it('should draw with two engine processes at once, and list both', async () => {
    await service.stop();
    service = await Service.startReady({
      ...variables,
      ...FEW_PICTURES,
      ENGINE_PROCESSES: '2',
      ENGINE_THREADS: '1',
    });
    await service.until(async () => (await engineState()) === 'ready', 'is ready');
    const ids = [await service.submit(ROUTE, LONG), await service.submit(ROUTE, LONG)];
    for (const id of ids) await service.jobUntil(id, 'running');
    const { details } = (await (await fetch(`${service.url}/health/ready`)).json()) as {
      details: { pipeline: { state: string; engines: { state: string }[] } };
    };
    expect(details.pipeline.engines.map(({ state }) => state)).toEqual(['busy', 'busy']);
    for (const id of ids) await cancel(id);
  });

  async function engineState(): Promise<string> {
    const body = (await (await fetch(`${service.url}/health/ready`)).json()) as {
      details: { pipeline: { state: string } };
    };
    return body.details.pipeline.state;
  }
});
