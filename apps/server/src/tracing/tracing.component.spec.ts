import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isFinished, Jobs } from '@app/jobs';
import { EngineCrashed } from '@app/pipeline';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { OtlpReceiver, type ReceivedSpan } from '../../../../test/support/otlp.receiver';
import { WebhookReceiver } from '../../../../test/support/webhook.receiver';
import { OpenTelemetry } from './open.telemetry';

const ROUTE = '/v1/images/generations';
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`;

describe(OpenTelemetry.name, () => {
  let collector: OtlpReceiver;
  let api: Api;

  const start = async (variables: Record<string, string> = {}) => {
    api = await startApi({ ...collector.variables, ...variables });
  };
  /** Ends the service, by which all its spans arrive. */
  const spans = async (): Promise<ReceivedSpan[]> => {
    await api.close();
    return collector.spans;
  };
  const childrenOf = (parent: ReceivedSpan, all = collector.spans) =>
    all.filter(({ parentSpanId }) => parentSpanId === parent.spanId).map(({ name }) => name);
  const submit = async (body: object, headers: Record<string, string> = {}) => {
    const response = await http(api.url)
      .post(ROUTE)
      .set({ prefer: 'respond-async', ...headers })
      .send({ prompt: 'a secret', ...body })
      .expect(202);
    return (response.body as { id: string }).id;
  };
  const finished = (id: string) =>
    until(async () => isFinished(await api.app.get(Jobs, { strict: false }).get(id)));

  beforeEach(async () => {
    collector = await OtlpReceiver.start();
  });
  afterEach(async () => {
    await api.close().catch(() => {});
    await collector.stop();
  });

  it('should follow a job from its request to its webhook, in the trace of the caller', async () => {
    const receiver = await WebhookReceiver.start();
    await start({ WEBHOOK_SECRET: SECRET, WEBHOOK_URL_ALLOW: '127.0.0.0/8' });
    api.pipeline.work = (_signal, listeners) => {
      for (const phase of ['text', 'sampling', 'sampling', 'decoding'] as const)
        listeners?.onProgress?.({ phase, step: 1, steps: 2 });
      return Promise.resolve();
    };
    const traceparent = `00-${TRACE}-${PARENT}-01`;
    const body = { webhook_url: receiver.url, webhook_events: ['job.succeeded'], seed: 7 };
    const id = await submit(body, { traceparent, tracestate: 'a=b', 'x-request-id': 'abc-1' });
    await until(() => receiver.received.length === 1);
    await finished(id);
    await until(async () => {
      const { webhook } = await api.app.get(Jobs, { strict: false }).get(id);
      return webhook!.deliveries[0].status === 'delivered';
    });
    await spans();
    await receiver.stop();

    const ours = collector.spans.filter(({ traceId }) => traceId === TRACE);
    const [request] = ours.filter(({ parentSpanId }) => parentSpanId === PARENT);
    expect(request).toMatchObject({ name: `POST ${ROUTE}`, kind: 2 });
    expect(request.attributes).toEqual({
      'http.request.method': 'POST',
      'http.route': ROUTE,
      'http.response.status_code': 202,
      'http.request.header.x-request-id': ['abc-1'],
    });
    expect(childrenOf(request, ours)).toEqual(['wait', 'generate_content demo', 'webhook']);
    const [attempt] = collector.named('generate_content demo');
    expect(childrenOf(attempt, ours)).toEqual(['text', 'sampling', 'decoding', 'encode', 'store']);
    expect(attempt.attributes).toMatchObject({
      'gen_ai.operation.name': 'generate_content',
      'gen_ai.request.model': 'demo',
      'gen_ai.request.seed': 7,
      'image.job.id': id,
      'image.job.attempt': 1,
      'image.outcome': 'succeeded',
    });
    expect(ours).toHaveLength(9);
    for (const span of ours)
      expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
    const [webhook] = collector.named('webhook');
    expect(webhook).toMatchObject({ kind: 3, attributes: { 'http.response.status_code': 200 } });
    const { headers } = receiver.received[0];
    expect(headers).toMatchObject({ traceparent: `00-${TRACE}-${webhook.spanId}-01`, tracestate: 'a=b' });
    expect(JSON.stringify(collector.spans)).not.toContain('a secret');
  });

  it('should tell in which phase an attempt failed, and that there was another', async () => {
    await start();
    let times = 0;
    api.pipeline.work = (_signal, listeners) => {
      listeners?.onProgress?.({ phase: 'sampling', step: 1, steps: 2 });
      return times++ === 0 ? Promise.reject(new EngineCrashed('killed', true, [], false)) : Promise.resolve();
    };
    await finished(await submit({}));
    await spans();
    const attempts = collector.named('generate_content demo');
    expect(attempts.map(({ status, attributes }) => [status.code, attributes['image.outcome']])).toEqual([
      [2, 'engine_crashed'],
      [0, 'succeeded'],
    ]);
    expect(new Set(attempts.map(({ parentSpanId }) => parentSpanId)).size).toBe(1);
    const [first] = collector.named('sampling');
    expect(first).toMatchObject({ parentSpanId: attempts[0].spanId, status: { code: 2 } });
    expect(collector.named('wait')).toHaveLength(1);
  });

  it('should end spans of what was cancelled, waiting or running', async () => {
    await start();
    void api.pipeline.hold();
    const ids = [await submit({}), await submit({})];
    const jobs = api.app.get(Jobs, { strict: false });
    await until(async () => (await jobs.get(ids[0])).state === 'running');
    for (const id of ids.reverse()) await http(api.url).delete(`/v1/jobs/${id}`).expect(200);
    await until(() => !api.pipeline.status().engines.some(({ state }) => state === 'busy'));
    await spans();
    expect(collector.named('wait').map(({ attributes }) => attributes)).toEqual(
      expect.arrayContaining([{}, { 'image.outcome': 'cancelled' }]),
    );
    expect(collector.named('generate_content demo').map(({ attributes }) => attributes)).toEqual([
      expect.objectContaining({ 'image.outcome': 'cancelled' }),
    ]);
  });

  describe('of requests', () => {
    it('should name no path, user, query or key, and no probe', async () => {
      await start();
      for (const path of [
        '/v1/users/ann-the-user/avatar?key=hidden',
        '/nothing/hidden',
        '/health/live',
        '/metrics',
      ])
        await fetch(api.url + path, { headers: { authorization: 'Bearer hidden' } });
      await spans();
      expect(collector.spans.map(({ name }) => name).sort()).toEqual([
        'GET',
        'GET /v1/users/:user_id/avatar',
      ]);
      expect(JSON.stringify(collector.spans)).not.toMatch(/ann-the-user|hidden/);
    });

    it('should begin a trace of their own for one that is none', async () => {
      await start();
      const headers = { traceparent: `00-${'0'.repeat(32)}-${PARENT}-01`, tracestate: 'x'.repeat(9000) };
      await fetch(`${api.url}/v1/models`, { headers });
      const [span] = await spans();
      expect(span.traceId).toMatch(/^(?!0+$)[0-9a-f]{32}$/);
      expect(span.parentSpanId).toBeUndefined();
    });

    it('should be left out, with their jobs, where the caller does not record', async () => {
      await start();
      const id = await submit({}, { traceparent: `00-${TRACE}-${PARENT}-00` });
      await finished(id);
      expect(await api.app.get(Jobs, { strict: false }).get(id)).toMatchObject({
        trace: { traceparent: expect.stringMatching(`^00-${TRACE}-\\w{16}-00$`) },
      });
      expect(await spans()).toEqual([]);
    });

    it('should have the picture that was fetched for them, whose server learns the trace but not whose it is', async () => {
      const asked: IncomingHttpHeaders[] = [];
      const pictures: Server = createServer((request, response) => {
        asked.push(request.headers);
        response.writeHead(404).end();
      });
      await new Promise<void>((resolve) => pictures.listen(0, '127.0.0.1', resolve));
      const host = `127.0.0.1:${(pictures.address() as AddressInfo).port}`;
      await start({ REFERENCE_URL_ALLOW: '127.0.0.0/8' });
      await http(api.url)
        .post(ROUTE)
        .set({ traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'vendor=customer' })
        .send({ prompt: 'x', reference_image_url: `http://${host}/secret.png` })
        .expect(400);
      await spans();
      pictures.close();
      const [fetched] = collector.named('GET');
      expect(fetched).toMatchObject({
        kind: 3,
        parentSpanId: collector.named(`POST ${ROUTE}`)[0].spanId,
        attributes: { 'http.request.method': 'GET', 'server.address': host, 'error.type': 'not_200' },
      });
      expect(asked[0]).toMatchObject({ traceparent: `00-${TRACE}-${fetched.spanId}-01` });
      expect(asked[0]).not.toHaveProperty('tracestate');
      expect(JSON.stringify(fetched)).not.toContain('secret');
    });
  });

  describe('with a collector that does not take them', () => {
    it('should answer and draw as ever, keep a bounded number, and end within seconds', async () => {
      collector.answer = () => 'silence';
      await start();
      const jobs = api.app.get(Jobs, { strict: false });
      for (let i = 0; i < 3; i++) await finished(await submit({}));
      const trace = { traceparent: `00-${TRACE}-${PARENT}-01` };
      // As many as a busy day brings: of each a span.
      const gone = {
        ...(await jobs.get(await submit({}))),
        trace,
        attempts: 0,
        state: 'expired',
        finishedAt: 0,
      } as const;
      for (let i = 0; i < 20_000; i++) jobs.news.emit('change', gone);
      const asked = performance.now();
      await api.close();
      // One export alone may take 10 s.
      expect(performance.now() - asked).toBeLessThan(8_000);
      const bytes = collector.requests.reduce((sum, { body }) => sum + body.length, 0);
      const sent = collector.requests.flatMap(({ body }) => [
        ...body.toString().matchAll(/"name":"wait"/g),
      ]).length;
      expect(sent).toBeGreaterThan(0);
      // The library's queue holds 2048, and one batch of 512 is on its way.
      expect(sent).toBeLessThanOrEqual(2048 + 512);
      expect(bytes).toBeLessThan(4_000_000);
    });
  });

  it('should write protobuf where JSON is not asked for, to the whole address where one is given', async () => {
    const { OTEL_EXPORTER_OTLP_ENDPOINT: base } = collector.variables;
    await startAs({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${base}/x/traces`,
    });
    await fetch(`${api.url}/v1/models`);
    await spans();
    const [{ path, headers, body }] = collector.requests;
    expect([path, headers['content-type']]).toEqual(['/x/traces', 'application/x-protobuf']);
    expect(body.toString('latin1')).toContain('GET /v1/models');
  });
  const startAs = async (variables: Record<string, string>) => {
    api = await startApi(variables);
  };

  it('should not be there without an address, nor where OTEL_SDK_DISABLED says so', async () => {
    await start({ OTEL_SDK_DISABLED: 'true' });
    const id = await submit({}, { traceparent: `00-${TRACE}-${PARENT}-01` });
    expect(await api.app.get(Jobs, { strict: false }).get(id)).not.toHaveProperty('trace');
    await api.close();
    expect(collector.requests).toEqual([]);
  });
});
