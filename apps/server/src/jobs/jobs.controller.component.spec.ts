import { http } from '../../../../test/support/http';
import { startJobsApi, type JobsApi } from '../../../../test/support/jobs.api';
import { failed, JOB_ID, running, succeeded } from '../../../../test/support/jobs.stub';
import { describeApi } from '../docs/openapi';
import { JobsController } from './jobs.controller';

describe(JobsController.name, () => {
  let api: JobsApi;
  beforeEach(async () => {
    api = await startJobsApi();
  });
  afterEach(() => api.app.close());
  const get = (path: string) => http(api.url).get(path);

  it('should tell everything of a queued job, times in whole seconds', async () => {
    api.jobs.put();
    const { status, body, headers } = await get(`/v1/jobs/${JOB_ID}`);
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('no-store');
    expect(body).toEqual({
      id: JOB_ID,
      object: 'job',
      state: 'queued',
      route: 'memory',
      photos: [],
      user_id: 'ann',
      position: 3,
      progress: null,
      created_at: 1767225600,
      started_at: null,
      finished_at: null,
      estimated_start_at: 1767225700,
      estimated_end_at: 1767225800,
      deadline_at: 1767229200,
      attempts: 0,
      events_url: `https://pictures.example/v1/jobs/${JOB_ID}/events`,
      result: null,
      error: null,
      webhook: null,
    });
  });

  it.each([
    ['text', 0, 0],
    ['sampling', 0, 0],
    ['sampling', 18, 36],
    ['sampling', 50, 99],
    ['decoding', 50, 99],
  ] as const)(
    'should count the progress of a running job: %s, step %i: %i %%',
    async (phase, step, percent) => {
      api.jobs.put(running);
      api.jobs.newest = { phase, step, steps: 50 };
      const { body } = await get(`/v1/jobs/${JOB_ID}`);
      expect(body).toMatchObject({
        state: 'running',
        position: null,
        progress: { phase, step, steps: 50, percent },
        started_at: 1767225610,
        attempts: 1,
      });
    },
  );

  it('should give the picture of a job that succeeded, as its route does', async () => {
    api.jobs.put(succeeded);
    const { body } = await get(`/v1/jobs/${JOB_ID}`);
    expect(body).toMatchObject({
      state: 'succeeded',
      progress: { phase: 'done', step: 50, steps: 50, percent: 100 },
      finished_at: 1767225620,
      estimated_end_at: null,
      error: null,
    });
    expect((body as { result: unknown }).result).toEqual({
      created: 1767225620,
      id: JOB_ID,
      data: [
        {
          s3_uri: `s3://local/generated/ann/memory_${JOB_ID}.png`,
          url: `https://pictures.example/images/generated/ann/memory_${JOB_ID}.png`,
          seed: 42,
          size: '128x128',
          likeness: null,
        },
      ],
      tries: 1,
      timings: succeeded.result.timings,
      warnings: ['a warning'],
      generation: null,
    });
  });

  it('should tell what made a picture, where that may be told', async () => {
    api.jobs.put({ ...succeeded, result: { ...succeeded.result, model: 'demo' } });
    const { body } = await get(`/v1/jobs/${JOB_ID}`);
    expect((body as { result: { generation: unknown } }).result.generation).toEqual({
      ...{ model: 'demo', prompt: 'a walk', negative_prompt: '', size: '128x128', num_inference_steps: 50 },
      ...{
        sampler: 'euler',
        scheduler: 'discrete',
        guidance_scale: 5,
        seed: 42,
        clip_skip: null,
        cache: null,
      },
      ...{ loras: [], ip_adapter_scale: null, identity_strength: null, strength: null },
      ...{ hires: null, upscale: null, control: null, face_detail: null },
    });
  });

  it('should tell why a job failed, and what its webhook was told', async () => {
    api.jobs.put({
      ...failed,
      webhook: {
        url: 'https://example.com/services/T0?token=T0KEN',
        events: ['job.failed'],
        deliveries: [
          { event: 'job.failed', at: 1_767_225_621_500, attempts: 0, status: 'pending', nextAt: 5 },
        ],
      },
    });
    const { body } = await get(`/v1/jobs/${JOB_ID}`);
    expect(body).toMatchObject({
      state: 'failed',
      progress: null,
      result: null,
      error: {
        code: 'out_of_memory',
        type: 'server_error',
        param: null,
        message: 'The picture needs more memory',
      },
    });
    expect((body as { webhook: unknown }).webhook).toEqual({
      host: 'example.com',
      deliveries: [{ event: 'job.failed', status: 'pending', attempts: 0, outcome: null, at: 1767225621 }],
    });
  });

  it.each([
    ['https://hooks.example:8443/T0KEN', 'hooks.example:8443'],
    ['http://[2001:db8::1]/?token=T0KEN#T0KEN', '[2001:db8::1]'],
  ])('should tell nowhere more of the address of a webhook than its host: %s', async (url, host) => {
    api.jobs.put({ webhook: { url, events: ['job.failed'], deliveries: [] } });
    const webhook = { host, deliveries: [] };
    const one = await get(`/v1/jobs/${JOB_ID}`);
    const list = await get('/v1/jobs');
    const cancelled = await http(api.url).delete(`/v1/jobs/${JOB_ID}`);
    expect(one.body).toMatchObject({ webhook });
    expect(list.body).toMatchObject({ data: [{ webhook }] });
    expect(cancelled.body).toMatchObject({ state: 'cancelled', webhook });
    for (const { text } of [one, list, cancelled]) expect(text).not.toContain('T0KEN');
  });

  it.each(['f'.repeat(24), 'F'.repeat(24), 'abc', '..%2f..', 'x'.repeat(60)])(
    'should know no job "%s"',
    async (id) => {
      for (const reply of [
        await get(`/v1/jobs/${id}`),
        await get(`/v1/jobs/${id}/events`),
        await http(api.url).delete(`/v1/jobs/${id}`),
      ]) {
        expect(reply.status).toBe(404);
        expect(reply.body).toMatchObject({ error: { code: 'job_not_found', type: 'not_found_error' } });
      }
    },
  );

  it('should cancel a job, twice if need be, and remove one that has ended', async () => {
    api.jobs.put(running);
    for (const time of ['first', 'second']) {
      const { status, body } = await http(api.url).delete(`/v1/jobs/${JOB_ID}`);
      expect([time, status]).toEqual([time, 200]);
      expect(body).toMatchObject({ id: JOB_ID, state: 'cancelled', error: { code: 'cancelled' } });
    }
    for (const ended of [succeeded, failed]) {
      api.jobs.put(ended);
      const { status, text } = await http(api.url).delete(`/v1/jobs/${JOB_ID}`);
      expect([ended.state, status, text]).toEqual([ended.state, 204, '']);
      await http(api.url).delete(`/v1/jobs/${JOB_ID}`).expect(404);
    }
  });

  describe('the list', () => {
    it('should be a page of 20 unless told otherwise', async () => {
      api.jobs.put();
      const { status, body, headers } = await get('/v1/jobs');
      expect(status).toBe(200);
      expect(headers['cache-control']).toBe('no-store');
      expect(api.jobs.queries).toEqual([{ limit: 20 }]);
      expect(body).toEqual({
        object: 'list',
        data: [expect.objectContaining({ id: JOB_ID, object: 'job' })],
        has_more: false,
        next_cursor: null,
      });
    });

    it('should filter, and go on where a page ended', async () => {
      api.jobs.next = 1234;
      const first = await get('/v1/jobs?user_id=ann&state=running&route=memory&limit=1');
      expect(first.body).toMatchObject({ has_more: true, next_cursor: expect.any(String) as string });
      const { next_cursor } = first.body as { next_cursor: string };
      expect(next_cursor).not.toContain('1234');
      await get(`/v1/jobs?limit=100&cursor=${next_cursor}`).expect(200);
      expect(api.jobs.queries).toEqual([
        { userId: 'ann', state: 'running', route: 'memory', limit: 1 },
        { limit: 100, before: 1234 },
      ]);
    });

    it.each([
      ['limit=0', 'limit', /^Expected a whole number from 1 to 100 for limit but received 0$/],
      ['limit=101', 'limit', /received 101$/],
      ['limit=ten', 'limit', /received "ten"$/],
      ['limit=1.5', 'limit', /received "1.5"$/],
      ['limit=', 'limit', /received ""$/],
      ['state=done', 'state', /one of queued, running, .* received "done"$/],
      ['state=queued&state=running', 'state', /received a list of 2$/],
      ['route=edits', 'route', /one of memory, subject, generations/],
      ['user_id=..%2Fann', 'user_id', /for user_id/],
      ['cursor=42', 'cursor', /the next_cursor of an earlier page .* "42"$/],
      ['cursor=MTIzNA==', 'cursor', /next_cursor/],
      ['cursor=LTE', 'cursor', /next_cursor/],
      ['cursor=', 'cursor', /received ""$/],
      ['page=2', 'page', /only documented fields but received page$/],
      ['page=2&sort=id', 'page', /only documented fields but received page, sort$/],
    ])('should refuse ?%s', async (query, param, message) => {
      const { status, body } = await get(`/v1/jobs?${query}`);
      expect(status).toBe(400);
      expect(body).toMatchObject({
        error: { code: 'invalid_request', param, message: expect.stringMatching(message) as string },
      });
      expect(api.jobs.queries).toEqual([]);
    });
  });

  it('should document its routes, every field and the stream', () => {
    const document = describeApi(api.app);
    expect(Object.keys(document.paths).sort()).toEqual(['/v1/jobs', '/v1/jobs/{id}', '/v1/jobs/{id}/events']);
    const mute: string[] = [];
    for (const [path, item] of Object.entries(document.paths)) {
      for (const operation of [item.get, item.delete]) {
        if (operation && !operation.summary) mute.push(path);
        for (const parameter of operation?.parameters ?? []) {
          if (!('description' in parameter)) mute.push(`${path} ${JSON.stringify(parameter)}`);
        }
      }
    }
    for (const [name, schema] of Object.entries(document.components!.schemas!)) {
      for (const [field, rule] of Object.entries('properties' in schema ? schema.properties! : {})) {
        if (!('description' in rule)) mute.push(`${name}.${field}`);
      }
    }
    expect(mute).toEqual([]);
    const { JobReply } = document.components!.schemas as Record<string, { properties: object }>;
    expect(JobReply.properties).toMatchObject({
      state: { enum: expect.arrayContaining(['queued', 'running', 'expired']) as string[] },
      position: { type: ['integer', 'null'] },
      result: { type: ['object', 'null'] },
      error: { type: ['object', 'null'] },
    });
    const events = document.paths['/v1/jobs/{id}/events'].get!;
    expect(events.responses['200']).toMatchObject({ content: { 'text/event-stream': {} } });
    for (const name of ['state', 'progress', 'preview', 'result', 'error', 'closing']) {
      expect(events.description).toContain(`| \`${name}\` |`);
    }
    expect(Object.keys(document.paths['/v1/jobs/{id}'].delete!.responses)).toEqual([
      '200',
      '204',
      '400',
      '404',
      '421',
      '429',
      '500',
      '503',
    ]);
  });
});
