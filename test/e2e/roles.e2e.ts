import { join } from 'node:path';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { isCopy } from '../support/inputs';
import { readFileSync } from 'node:fs';
import { temporaryFolder } from '../support/demo';
import { allEvents, followEvents } from '../support/event.source';
import { OtlpReceiver, type ReceivedSpan } from '../support/otlp.receiver';
import { REDIS_SERVER, RedisServer } from '../support/redis.server';
import { describeWith } from '../support/requires';
import { S3_GATEWAY, startS3Gateway, type S3Gateway } from '../support/s3.gateway';
import { NO_REFERENCES, Service } from '../support/service';
import { WebhookReceiver } from '../support/webhook.receiver';

const ROUTE = '/v1/images/generations';
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
const LONG = { prompt: 'a fox', size: '192x192', num_inference_steps: 150, guidance_scale: 1 };
const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;
const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');

const BOTH = {
  name: `${REDIS_SERVER.name} or ${S3_GATEWAY.name}`,
  install: `${REDIS_SERVER.install} && ${S3_GATEWAY.install}`,
  available: () => REDIS_SERVER.available() && S3_GATEWAY.available(),
};

interface Report {
  status: string;
  details: Record<string, { status: string } & Record<string, unknown>>;
}

describeWith(BOTH, 'An API and two workers on different machines', () => {
  const folders = [temporaryFolder(), temporaryFolder(), temporaryFolder(), temporaryFolder()];
  let redis: RedisServer;
  let gateway: S3Gateway;
  let collector: OtlpReceiver;
  let client: S3Client;
  let api: Service;
  let workers: Service[];

  beforeAll(async () => {
    redis = await RedisServer.start({ folder: folders[3] });
    gateway = await startS3Gateway();
    collector = await OtlpReceiver.start();
    const { endpoint, accessKeyId, secretAccessKey } = gateway;
    client = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
    await client.send(new CreateBucketCommand({ Bucket: 'pictures' }));
    api = await Service.start({ ...machine(0), ROLE: 'api' });
    await api.ready();
    workers = [
      await Service.startReady({ ...machine(1), ROLE: 'worker' }),
      await Service.startReady({ ...machine(2), ROLE: 'worker' }),
    ];
  });
  afterAll(async () => {
    await Promise.all([api, ...(workers ?? [])].map((service) => service?.stop('SIGKILL')));
    client?.destroy();
    await collector?.stop();
    await gateway?.stop();
    await redis?.stop();
  });

  const machine = (i: number) => ({
    DATA_DIR: folders[i], // nothing is shared but Redis and the bucket
    REDIS_URL: redis.url,
    S3_BUCKET_NAME: 'pictures',
    S3_ENDPOINT: gateway.endpoint,
    AWS_ACCESS_KEY_ID: gateway.accessKeyId,
    AWS_SECRET_ACCESS_KEY: gateway.secretAccessKey,
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_URL_ALLOW: '127.0.0.0/8',
    REFERENCE_URL_ALLOW: '127.0.0.0/8',
    ...collector.variables,
    ...NO_REFERENCES, // one picture but
    ENGINE_THREADS: '1',
    DRAIN_SECONDS: '600', // more than a picture of these tests can take
  });
  const stored = async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'pictures' }));
    return Contents.map(({ Key }) => Key!);
  };
  const report = async (service: Service) =>
    (await (await fetch(`${service.url}/health/ready`)).json()) as Report;
  const count = async (state: string) => {
    const { data } = (await (await fetch(`${api.url}/v1/jobs?state=${state}`)).json()) as { data: unknown[] };
    return data.length;
  };
  const busy = async (service: Service) => (await report(service)).details.pipeline.state === 'busy';

  it('should draw on a worker what the API accepted, after an avatar, and tell every step', async () => {
    expect(api.enginePid).toBeUndefined();
    expect((await api.putPicture('/v1/users/ada/avatar', PANDA)).status).toBe(200);
    await api.until(async () => (await report(api)).details.workers?.count === 2, 'sees both workers');
    const body = { ...SMALL, user_id: 'ada', num_inference_steps: 2 };
    const id = await api.submit('/v1/images/memory', body);
    const told = await allEvents(`${api.url}/v1/jobs/${id}/events`);
    expect(told.filter(({ event }) => event === 'state').map(({ data }) => data.state)).toEqual([
      'queued',
      'running',
      'succeeded',
    ]);
    expect(told.some(({ event, data }) => event === 'progress' && data.step === 2)).toBe(true);
    expect(told.at(-1)!.event).toBe('result');
    const { result } = await api.job(id);
    const picture = await fetch(api.url + new URL(result!.data[0].url).pathname);
    expect(picture.status).toBe(200);
    expect((await stored()).filter(isCopy)).toEqual([]);
    // A worker answers health checks and metrics, and nothing else.
    const metrics = await (await fetch(`${workers[0].url}/metrics`)).text();
    expect(metrics).toMatch(/^image_engine_state{engine="0",state="\w+"} 1$/m);
    expect(await (await fetch(`${api.url}/metrics`)).text()).toMatch(/^image_jobs{state="queued"} 0$/m);
    expect((await fetch(`${workers[0].url}/v1/loras`)).status).toBe(404);
    const loras = (await (await fetch(`${api.url}/v1/loras`)).json()) as { data: { name: string }[] };
    expect(loras.data.map(({ name }) => name)).toEqual(['night']);
  });

  it('should answer a caller who waits', async () => {
    const response = await api.post(ROUTE, SMALL);
    expect(response.status).toBe(200);
  });

  it('should tell of a job in one trace, from its request to its webhook, whichever process did what', async () => {
    const asked: unknown[] = [];
    const pictures = createServer(({ headers }, response) => {
      asked.push(headers.traceparent);
      response.end(readFileSync(PANDA));
    });
    await new Promise<void>((resolve) => pictures.listen(0, '127.0.0.1', resolve));
    const receiver = await WebhookReceiver.start();
    const begin = `http://127.0.0.1:${(pictures.address() as AddressInfo).port}/panda.png?key=telltale`;
    const body = {
      ...{ ...SMALL, prompt: 'a telltale', image: begin },
      ...{ webhook_url: receiver.url, webhook_events: ['job.succeeded'] },
    };
    const [trace, caller] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
    await api.submit(ROUTE, body, { traceparent: `00-${trace}-${caller}-01` });
    const named = (name: string) =>
      collector.spans.filter((span) => span.traceId === trace && span.name.split(' ')[0] === name);
    const done = () => named('webhook').length > 0 && named('generate_content').length > 0;
    await api.until(() => done() && named('POST').length > 0, 'has its trace');
    await receiver.stop();
    pictures.close();

    const all = collector.spans.filter((span) => span.traceId === trace);
    const [request, attempt, webhook] = ['POST', 'generate_content', 'webhook'].map((name) => named(name)[0]);
    const below = (parent: ReceivedSpan) => all.filter(({ parentSpanId }) => parentSpanId === parent.spanId);
    const names = (spans: ReceivedSpan[]) => spans.map(({ name }) => name);
    expect(request).toMatchObject({ name: `POST ${ROUTE}`, parentSpanId: caller });
    // A job waits from the arrival of its request, in milliseconds: its picture may be fetched in the same one.
    expect(names(below(request)).toSorted()).toEqual(['GET', attempt.name, 'wait', 'webhook'].toSorted());
    // The phases that the engine tells of, each once.
    expect(names(below(attempt)).toSorted()).toEqual([
      'decoding',
      'encode',
      'image',
      'sampling',
      'store',
      'text',
    ]);
    expect(all).toHaveLength(5 + 6);
    expect(attempt.service).not.toBe(request.service);
    for (const span of [...below(attempt), named('wait')[0]]) expect(span.service).toBe(attempt.service);
    for (const span of all) expect(span.status.code ?? 0).toBe(0);
    // Outwards, to those who take part in it.
    expect(asked).toEqual([`00-${trace}-${named('GET')[0].spanId}-01`]);
    expect(receiver.received[0].headers.traceparent).toBe(`00-${trace}-${webhook.spanId}-01`);
    expect(JSON.stringify(all)).not.toContain('telltale');
  });

  it('should cancel on the worker that draws', async () => {
    const before = await stored();
    const id = await api.submit(ROUTE, LONG);
    await api.jobUntil(id, 'running');
    const asked = performance.now();
    expect((await fetch(`${api.url}/v1/jobs/${id}`, { method: 'DELETE' })).status).toBe(200);
    expect(performance.now() - asked).toBeLessThan(1000);
    for (const worker of workers) await worker.until(async () => !(await busy(worker)), 'is free again');
    expect(await stored()).toEqual(before);
  });

  it('should stay up without Redis, refuse new jobs, and go on when it is back', async () => {
    const id = await api.submit(ROUTE, SMALL);
    await redis.kill();
    const refused = await api.post(ROUTE, SMALL);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect((await fetch(`${api.url}/health/ready`)).status).toBe(200);
    expect((await report(api)).details.records.status).toBe('down');
    await workers[0].until(
      async () => (await fetch(`${workers[0].url}/health/ready`)).status === 503,
      'is unready',
    );
    await redis.restart();
    await api.until(async () => (await report(api)).details.records.status === 'up', 'sees Redis');
    await workers[0].ready();
    await api.jobUntil(id, 'succeeded');
    expect((await api.post(ROUTE, SMALL)).status).toBe(200);
  });

  it('should finish the picture of a worker that drains, and leave what waits to the other', async () => {
    const [leaving, staying] = workers;
    const medium = { ...SMALL, num_inference_steps: 20 };
    const running = [await api.submit(ROUTE, medium), await api.submit(ROUTE, medium)];
    for (const id of running) await api.jobUntil(id, 'running');
    const waiting = [
      await api.submit(ROUTE, SMALL),
      await api.submit(ROUTE, SMALL),
      await api.submit(ROUTE, SMALL),
    ];
    const ended = leaving.stop('SIGTERM');
    await sleep(200);
    expect((await fetch(`${leaving.url}/health/ready`)).status).toBe(503);
    expect((await fetch(`${leaving.url}/health/live`)).status).toBe(200);
    await api.until(async () => (await report(api)).details.workers?.count === 1, 'sees one worker');
    expect(await ended).toEqual({ code: 0, signal: null });
    for (const id of [...running, ...waiting]) {
      expect(await api.jobUntil(id, 'succeeded', 'failed')).toMatchObject({
        state: 'succeeded',
        attempts: 1,
      });
    }
    expect((await fetch(`${staying.url}/health/ready`)).status).toBe(200);
    workers[0] = await Service.startReady({ ...machine(1), ROLE: 'worker' });
  });

  it('should let an API that drains answer whoever waits, since the workers go on', async () => {
    const leaving = await Service.start({ ...machine(0), ROLE: 'api', DRAIN_SECONDS: '600' });
    await leaving.until(
      async () => (await report(leaving)).details.workers?.count === 2,
      'sees both workers',
    );
    const caller = leaving.post(ROUTE, { ...SMALL, num_inference_steps: 20 });
    await api.until(async () => (await count('running')) === 1, 'has one running');
    const others = [await api.submit(ROUTE, LONG), await api.submit(ROUTE, LONG)];
    await api.jobUntil(others[0], 'running');
    const waiter = leaving.post(ROUTE, SMALL);
    await api.until(async () => (await count('queued')) === 2, 'has two waiting');
    const stream = await followEvents(`${leaving.url}/v1/jobs/${others[1]}/events`);
    const ended = leaving.stop('SIGTERM');
    await sleep(200);
    expect((await fetch(`${leaving.url}/health/ready`)).status).toBe(503);
    expect((await stream.rest).at(-1)!.event).toBe('closing');
    expect((await caller).status).toBe(200);
    for (const id of others) await fetch(`${api.url}/v1/jobs/${id}`, { method: 'DELETE' });
    expect((await waiter).status).toBe(200);
    expect(await ended).toEqual({ code: 0, signal: null });
    for (const worker of workers) await worker.until(async () => !(await busy(worker)), 'is free again');
  });

  it('should finish on the other worker what a killed one had begun, and store it once', async () => {
    const id = await api.submit(ROUTE, { ...SMALL, num_inference_steps: 12 });
    let drawing: Service | undefined;
    await api.until(async () => {
      for (const worker of workers) if (await busy(worker)) drawing = worker;
      return drawing !== undefined;
    }, 'draws');
    await sleep(500);
    const killed = Date.now();
    await drawing!.killGroup();
    expect(await api.jobUntil(id, 'succeeded', 'failed')).toMatchObject({ state: 'succeeded', attempts: 2 });
    const { timings } = (await api.job(id)).result!;
    expect(Date.now() - killed).toBeLessThan(30_000 + timings.total_ms - timings.queue_ms + 5_000);
    expect((await stored()).filter((key) => key.includes(id))).toHaveLength(1);
  });
});
