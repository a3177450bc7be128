import { ServiceError } from '@app/errors';
import { PictureUploads } from '@app/jobs';
import { HealthCheckExecutor } from '@nestjs/terminus/dist/health-check/health-check-executor.service';
import { Drain } from '@app/lifecycle';
import { http } from '../../../../test/support/http';
import { startApi, type Api } from '../../../../test/support/api';
import { HealthController } from './health.controller';

describe(HealthController.name, () => {
  let api: Api;
  const get = (path: string) => http(api.url).get(path);

  beforeAll(async () => {
    api = await startApi();
  });
  afterAll(() => api.close());

  it.each(['ready', 'busy'] as const)('should be healthy and ready while %s', async (state) => {
    const device = { name: 'CUDA0', description: 'A GPU', gpu: true };
    api.pipeline.state = { state, model: 'demo', device };
    for (const path of ['/health', '/health/']) {
      const { status, body } = await get(path);
      expect(status).toBe(200);
      expect(body).toEqual({ status: 'healthy', message: 'Image generation service is ready' });
    }
    const ready = await get('/health/ready');
    expect(ready.status).toBe(200);
    expect(ready.body).toMatchObject({
      status: 'ok',
      details: {
        pipeline: {
          status: 'up',
          state,
          model: 'demo',
          device: 'CUDA0',
          description: 'A GPU',
          gpu: true,
        },
      },
    });
  });

  it.each(['starting', 'loading', 'warming', 'failed', 'stopped'] as const)(
    'should be alive but not ready while %s',
    async (state) => {
      api.pipeline.state = { state, percent: 12.3, reason: 'no GPU device', model: 'demo' };
      const summary = await get('/health/');
      expect(summary.status).toBe(503);
      expect(summary.body).toEqual({
        status: 'unhealthy',
        message: `Image generation service is not ready: ${state} (12 %): no GPU device`,
      });
      const ready = await get('/health/ready');
      expect(ready.status).toBe(503);
      expect(ready.body).toMatchObject({
        status: 'error',
        details: { pipeline: { status: 'down', state, percent: 12.3, reason: 'no GPU device' } },
      });
      expect((await get('/health/live')).status).toBe(200);
    },
  );

  it('should not be ready while pictures wait for a storage that refuses them', async () => {
    api.pipeline.state = { state: 'ready', model: 'demo' };
    const reason = 'The local storage cannot write (ENOSPC): the disk of DATA_DIR is full.';
    const refused = jest
      .spyOn(api.storage, 'put')
      .mockRejectedValue(new ServiceError('storage_unavailable', reason));
    const end = new AbortController();
    const uploads = api.app.get(PictureUploads, { strict: false });
    const put = uploads.put('generated/a.png', Buffer.from('png'), {
      revoked: end.signal,
      signal: end.signal,
    });
    while (!uploads.refusal) await new Promise((resolve) => setImmediate(resolve));
    const ready = await get('/health/ready');
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({ details: { storage: { status: 'down', pictures: 1, reason } } });
    expect((await get('/health')).body).toEqual({
      status: 'unhealthy',
      message: `Image generation service is not ready: ${reason}`,
    });
    end.abort();
    await expect(put).rejects.toThrow();
    refused.mockRestore();
    const after = await get('/health/ready');
    expect(after.body).toMatchObject({ status: 'ok', details: { storage: { status: 'up' } } });
  });

  it('should not be ready while the storage cannot be reached, and say why', async () => {
    const reason = 'The S3 storage cannot be reached (NoSuchBucket, 404): check S3_BUCKET_NAME.';
    const other = await startApi();
    other.pipeline.state = { state: 'ready', model: 'demo' };
    jest.spyOn(other.storage, 'check').mockRejectedValue(new ServiceError('storage_unavailable', reason));
    const ready = await http(other.url).get('/health/ready');
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({ error: { storage: { status: 'down', driver: 'local', reason } } });
    expect((await http(other.url).get('/health')).body).toEqual({
      status: 'unhealthy',
      message: `Image generation service is not ready: ${reason}`,
    });
    expect((await http(other.url).get('/health/live')).status).toBe(200);
    await other.close();
  });

  it('should tell of each engine, and whether it is a GPU', async () => {
    const gpu = { name: 'CUDA0', description: 'A GPU', gpu: true };
    api.pipeline.state = { state: 'busy', model: 'demo', device: gpu };
    api.pipeline.engines = [
      { id: 0, state: 'busy', device: gpu },
      { id: 1, state: 'loading', percent: 40, reason: 'loading the model' },
    ];
    const ready = await get('/health/ready');
    expect(ready.status).toBe(200);
    const { engines } = (ready.body as { details: { pipeline: { engines: unknown } } }).details.pipeline;
    expect(engines).toEqual([
      { id: 0, state: 'busy', device: 'CUDA0', description: 'A GPU', gpu: true },
      { id: 1, state: 'loading', percent: 40, reason: 'loading the model' },
    ]);
  });

  it('should tell which engine draws, what it found on this machine and how it computes', async () => {
    const cpu = { name: 'CPU', description: 'A processor', gpu: false };
    const problem = 'the NVIDIA driver is not here';
    const facts = {
      version: { source: 'prebuilt cuda12', commit: '2bb7294', version: 'master-898', system: 'AVX' },
      devices: [cpu],
      backEnds: [
        { name: 'cuda', devices: 0, problem },
        { name: 'cpu', devices: 1 },
      ],
    };
    const settings = { flashAttention: false, vaeDirectConvolution: false, unetDirectConvolution: true };
    api.pipeline.state = { state: 'busy', model: 'demo', device: cpu };
    api.pipeline.engines = [{ id: 0, state: 'busy', device: cpu, facts, settings }];
    const { body } = await get('/health/ready');
    const { engines } = (body as { details: { pipeline: { engines: unknown[] } } }).details.pipeline;
    expect(engines[0]).toMatchObject({
      engine: { source: 'prebuilt cuda12', commit: '2bb7294', version: 'master-898' },
      devices: ['CPU'],
      back_ends: [
        { name: 'cuda', devices: 0, problem },
        { name: 'cpu', devices: 1 },
      ],
      flash_attention: false,
      vae_direct_convolution: false,
      unet_direct_convolution: true,
    });
  });

  it('should be alive without asking the pipeline or the storage', async () => {
    const status = jest.spyOn(api.pipeline, 'status').mockImplementation(() => {
      throw new Error('asked');
    });
    const { body } = await get('/health/live');
    expect(body).toMatchObject({ status: 'ok' });
    status.mockRestore();
  });

  it('should not be ready from the moment that it drains, without a look at anything, and alive to the end', async () => {
    api.pipeline.state = { state: 'ready', model: 'demo' };
    const drain = api.app.get(Drain);
    drain.begin();
    const status = jest.spyOn(api.pipeline, 'status');
    const summary = await get('/health/');
    expect(summary.status).toBe(503);
    expect(summary.body).toEqual({
      status: 'unhealthy',
      message: 'Image generation service is not ready: draining',
    });
    const ready = await get('/health/ready');
    expect(ready.status).toBe(503);
    expect(ready.body).toMatchObject({ status: 'error', details: { process: { reason: 'draining' } } });
    expect(status).not.toHaveBeenCalled();
    // As Nest does before the server closes: Terminus has its own opinion from then on.
    api.app.get(HealthCheckExecutor, { strict: false }).beforeApplicationShutdown();
    expect((await get('/health/ready')).status).toBe(503);
    expect((await get('/health/live')).status).toBe(200);
  });
});
