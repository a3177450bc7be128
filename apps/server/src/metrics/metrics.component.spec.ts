import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Config, ConfigError } from '@app/config';
import { ServiceError, tellFailure } from '@app/errors';
import { Jobs } from '@app/jobs';
import { startApi, type Api } from '../../../../test/support/api';
import { until } from '../../../../test/support/eventually';
import { http } from '../../../../test/support/http';
import { RawConnection } from '../../../../test/support/raw.connection';
import { formatFor } from './exposition';
import { Metrics } from './metrics';
import { MetricsServer } from './metrics.server';

const PICTURE = readFileSync(join(__dirname, '../../../../test/fixtures/panda-on-purple.png'));
const KEYS = JSON.stringify([{ name: 'test', sha256: '0'.repeat(64), scopes: ['read'] }]);

describe(Metrics.name, () => {
  let api: Api;
  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());
  const read = async () => (await http(api.url).get('/metrics').expect(200)).text;

  it('should tell jobs by state and the state of each engine', async () => {
    void api.pipeline.hold();
    for (let i = 0; i < 3; i++) {
      await http(api.url)
        .post('/v1/images/generations')
        .set('Prefer', 'respond-async')
        .send({ prompt: 'x' })
        .expect(202);
    }
    const text = await read();
    const [queued, running] = ['queued', 'running'].map((state) =>
      Number(new RegExp(`^image_jobs{state="${state}"} (\\d+)$`, 'm').exec(text)?.[1]),
    );
    expect(queued + running).toBe(3);
    const { id, state } = api.pipeline.status().engines[0];
    expect(text).toContain(`image_engine_state{engine="${id}",state="${state}"} 1`);
    expect(text).toContain('process_resident_memory_bytes');
    expect(text).toMatch(/^image_service_info{version="\d+\.\d+\.\d+"} 1$/m);
  });

  it('should count requests by the template of their route, never by their path', async () => {
    await http(api.url).get('/v1/users/ann-the-user/avatar').expect(404);
    await http(api.url).get('/nothing/here?key=secret').expect(404);
    await http(api.url).get('/images/generated/ann-the-user/a.png').expect(404);
    const leaver = await RawConnection.open(
      api.url,
      'PUT /v1/users/x/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1',
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    leaver.socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const text = await read();
    const count = (method: string, route: string, status: string) =>
      `http_request_duration_seconds_count{method="${method}",route="${route}",status="${status}"} 1`;
    expect(text).toContain(count('GET', '/v1/users/:user_id/avatar', '404'));
    expect(text).toContain(count('GET', 'none', '404'));
    expect(text).toContain(count('GET', '/images/*key', '404'));
    expect(text).toMatch(/method="PUT",route="[^"]+",status="aborted"/);
    expect(text).not.toMatch(/ann-the-user|secret|nothing/);
  });

  it('should name the route of what was refused before it came there', async () => {
    const closed = await startApi({ API_KEYS: KEYS });
    for (const [method, path] of [
      ['POST', '/v1/images/memory'],
      ['GET', '/v1/users/ann-the-user/avatar'],
      ['PATCH', '/v1/jobs'],
      ['GET', '/nothing/here'],
    ]) {
      await fetch(closed.url + path, { method });
    }
    const text = (await http(closed.url).get('/metrics').expect(200)).text;
    const routes = [...text.matchAll(/_count{method="(\w+)",route="([^"]+)",status="401"} 1$/gm)];
    expect(routes.map(([, method, route]) => `${method} ${route}`).sort()).toEqual([
      'GET /v1/users/:user_id/avatar',
      'GET none',
      'PATCH /v1/jobs',
      'POST /v1/images/memory',
    ]);
    await closed.close();
  });

  it('should count jobs as they are accepted and end, and how long they waited', async () => {
    const other = await startApi();
    const draw = (prompt: string) => http(other.url).post('/v1/images/generations').send({ prompt });
    await draw('a fox').expect(200);
    other.pipeline.work = () => Promise.reject(new ServiceError('generation_failed', 'It is black'));
    await draw('a hole').expect(500);
    void other.pipeline.hold();
    const { id } = (await draw('held').set('Prefer', 'respond-async').expect(202)).body as { id: string };
    // The second call changes nothing.
    for (let i = 0; i < 2; i++) await http(other.url).delete(`/v1/jobs/${id}`).expect(200);
    const { text } = await http(other.url).get('/metrics');
    expect(text).toContain('image_jobs_accepted_total{route="generations"} 3');
    expect(text).toContain('image_jobs_finished_total{route="generations",outcome="succeeded"} 1');
    expect(text).toContain('image_jobs_finished_total{route="generations",outcome="cancelled"} 1');
    expect(text).toContain('image_jobs_finished_total{route="generations",outcome="generation_failed"} 1');
    expect(text).toMatch(/^image_job_wait_seconds_count{route="generations"} [23]$/m);
    await other.close();
  });

  it('should name a job of each bucket to readers of OpenMetrics', async () => {
    const other = await startApi();
    const { body } = await http(other.url).post('/v1/images/generations').send({ prompt: 'x' }).expect(200);
    const read = (accept: string) => http(other.url).get('/metrics').set('Accept', accept).expect(200);
    const { id } = body as { id: string };
    const open = await read('application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3');
    expect(open.headers['content-type']).toMatch(/^application\/openmetrics-text;.*version=1/);
    expect(open.headers.vary).toContain('Accept');
    const opened = open.text;
    expect(opened).toMatch(new RegExp(`^image_job_duration_seconds_bucket{.+} 1 # {job_id="${id}"} `, 'm'));
    const plain = await read('text/plain');
    expect(plain.headers['content-type']).toMatch(/^text\/plain;.*version=0/);
    expect(plain.text).not.toContain(id);
    await other.close();
  });

  it('should count event streams apart from requests', async () => {
    void api.pipeline.hold();
    const body = { prompt: 'x' };
    const { id } = (
      await http(api.url).post('/v1/images/generations').set('Prefer', 'respond-async').send(body)
    ).body as { id: string };
    const client = new AbortController();
    await fetch(`${api.url}/v1/jobs/${id}/events`, { signal: client.signal });
    expect(await read()).toMatch(/^image_event_streams 1$/m);
    client.abort();
    await until(async () => /^image_event_streams 0$/m.test(await read()));
    const text = await read();
    expect(text).toMatch(/^image_event_stream_duration_seconds_count 1$/m);
    expect(text).not.toMatch(/route="\/v1\/jobs\/:id\/events"/);
    await http(api.url).get('/v1/jobs/000000000000000000000000/events').expect(404);
    expect(await read()).toContain('route="/v1/jobs/:id/events",status="404"} 1');
  });

  it('should count why engine processes ended', async () => {
    const status = api.pipeline.status();
    const exits = { died: 2, out_of_memory: 0, failed: 1 };
    const spy = jest.spyOn(api.pipeline, 'status');
    spy.mockReturnValue({ ...status, engines: [{ ...status.engines[0], id: 3, exits }] });
    for (let i = 0; i < 2; i++) {
      const text = await read();
      expect(text).toContain('image_engine_exits_total{engine="3",cause="died"} 2');
      expect(text).toContain('image_engine_exits_total{engine="3",cause="out_of_memory"} 0');
      expect(text).toContain('image_engine_exits_total{engine="3",cause="failed"} 1');
    }
    spy.mockRestore();
  });

  it('should tell how many jobs wait and since when, by the class of their callers and never by their names', async () => {
    const jobs = api.app.get(Jobs, { strict: false });
    const store = jest.spyOn(jobs, 'backlog');
    const clock = jest.spyOn(Date, 'now').mockReturnValue(1_000_000);
    store.mockResolvedValue({ key: { queued: 2, oldestAt: 1_000_000 - 90_500 }, address: { queued: 0 } });
    const text = await read();
    expect(text).toMatch(/^image_queue_jobs{caller="key"} 2$/m);
    expect(text).toMatch(/^image_queue_jobs{caller="address"} 0$/m);
    expect(text).toMatch(/^image_queue_oldest_age_seconds{caller="key"} 90\.5$/m);
    expect(text).toMatch(/^image_queue_oldest_age_seconds{caller="address"} 0$/m);
    // Both are of one reading.
    expect(store).toHaveBeenCalledTimes(1);
    // Accepted by a machine whose clock is ahead.
    store.mockResolvedValue({ key: { queued: 1, oldestAt: 1_000_500 }, address: { queued: 0 } });
    expect(await read()).toMatch(/^image_queue_oldest_age_seconds{caller="key"} 0$/m);
    clock.mockRestore();
    store.mockRejectedValue(new Error('away'));
    expect(await read()).not.toMatch(/^image_queue_\w+{/m);
    store.mockRestore();
    const { queued } = await jobs.count();
    expect(await read()).toMatch(new RegExp(`^image_queue_jobs{caller="address"} ${queued}$`, 'm'));
  });

  it('should count images that were drawn once more', async () => {
    const { news } = api.app.get(Jobs, { strict: false });
    for (const how of ['in_tiles', 'elsewhere', 'in_tiles'] as const) news.emit('redrawn', how);
    const text = await read();
    expect(text).toContain('image_redraws_total{how="in_tiles"} 2');
    expect(text).toContain('image_redraws_total{how="elsewhere"} 1');
  });

  it('should count what storage and hub failed at, until it ends', async () => {
    const other = await startApi();
    const about = async () => (await http(other.url).get('/metrics')).text;
    expect(await about()).not.toMatch(/^image_(?:storage|hub)_errors_total{.*} [^0]/m);
    // A file where a folder has to be.
    const temporary = join(other.app.get(Config).DATA_DIR, '.tmp');
    await rm(temporary, { recursive: true });
    await writeFile(temporary, '');
    await expect(other.storage.put('a', Buffer.from('x'), 'image/png')).rejects.toThrow('storage cannot');
    tellFailure({ of: 'hub', what: '429' });
    const text = await about();
    // Readiness may have asked, too.
    expect(text).toMatch(/^image_storage_errors_total{operation="write"} [1-9]\d*$/m);
    expect(text).toContain('image_hub_errors_total{status="429"} 1');
    const { exposition } = other.app.get(Metrics);
    await other.close();
    tellFailure({ of: 'hub', what: '429' });
    const after = await exposition.write(formatFor());
    expect(after).toContain('image_hub_errors_total{status="429"} 1');
  });

  it('should count reference pictures that were fetched, and why others were not', async () => {
    const pictures = createServer(({ url }, response) =>
      url === '/gone.png' ? response.writeHead(404).end() : response.end(PICTURE),
    );
    await new Promise<void>((resolve) => pictures.listen(0, '127.0.0.1', resolve));
    const own = `127.0.0.1:${(pictures.address() as AddressInfo).port}`;
    const other = await startApi({ REFERENCE_URL_ALLOW: own.split(':')[0] });
    const draw = (reference_image_url: string) =>
      http(other.url).post('/v1/images/generations').send({ prompt: 'x', reference_image_url });
    await draw(`http://${own}/fox.png`).expect(200);
    await draw(`http://${own}/gone.png`).expect(400);
    await draw('http://10.0.0.1/fox.png').expect(400);
    const { text } = await http(other.url).get('/metrics');
    for (const outcome of ['fetched', 'not_200', 'refused_address'])
      expect(text).toContain(`image_reference_fetches_total{outcome="${outcome}"} 1`);
    expect(text).not.toContain(own);
    await other.close();
    pictures.close();
  });

  it('should leave jobs out while their records cannot be read', async () => {
    const count = jest.spyOn(api.app.get(Jobs, { strict: false }), 'count');
    count.mockRejectedValue(new Error('away'));
    expect(await read()).not.toMatch(/^image_jobs{/m);
    count.mockRestore();
    expect(await read()).toMatch(/^image_jobs{state="queued"} \d$/m);
  });
});

describe(MetricsServer.name, () => {
  it('should answer health and metrics on METRICS_PORT and nowhere else, and nothing else there', async () => {
    const api = await startApi({ METRICS_PORT: '0' });
    const own = `http://127.0.0.1:${api.app.get(MetricsServer).port}`;
    for (const path of ['/health', '/health/live', '/health/ready', '/metrics', '/HEALTH/live']) {
      expect((await http(own).get(path)).status).toBe(200);
      const elsewhere = await http(api.url).get(path);
      expect(elsewhere.status).toBe(404);
      expect(elsewhere.body).toMatchObject({ error: { code: 'not_found' } });
    }
    for (const path of ['/', '/v1/jobs', '/docs', '/openapi.json', '/metricsx']) {
      // The document is of the other port.
      expect((await fetch(own + path)).status).toBe(404);
    }
    await http(api.url).get('/v1/jobs').expect(200);
    expect(((await http(api.url).get('/')).body as { endpoints: string[] }).endpoints.join()).not.toMatch(
      /health|metrics/,
    );
    await http(own).post('/metrics').expect(405);
    await api.close();
    await expect(http(own).get('/health/live')).rejects.toThrow('ECONNREFUSED');
  });

  it('should refuse to start on a port that is taken, in a sentence', async () => {
    const api = await startApi({ METRICS_PORT: '0' });
    const { port } = api.app.get(MetricsServer);
    await expect(startApi({ METRICS_PORT: String(port) })).rejects.toThrow(ConfigError);
    await api.close();
  });

  it('should answer probes as long as the other server does while it shuts down', async () => {
    const api = await startApi({ METRICS_PORT: '0' });
    const own = `http://127.0.0.1:${api.app.get(MetricsServer).port}`;
    const server = api.app.getHttpServer();
    // Somebody who asks for nothing yet, which Node waits for.
    const idle = await RawConnection.open(api.url, 'GET / HTTP/1.1\r\n');
    const closed = api.close();
    while (server.listening) await new Promise((resolve) => setTimeout(resolve, 5));
    await http(own).get('/metrics').expect(200);
    idle.socket.destroy();
    await closed;
  });
});
