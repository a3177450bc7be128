import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { FEW_PICTURES, isAlive, Service } from '../support/service';

const PANDA = join(__dirname, '../fixtures/panda-on-purple.png');
const LONG = { prompt: 'a fox', size: '192x192', num_inference_steps: 150, guidance_scale: 1 };

interface Failure {
  error: { code: string; message: string };
}

describe('The life of the service', () => {
  const DATA_DIR = temporaryFolder();
  let service: Service | undefined;
  afterEach(async () => {
    await service?.stop('SIGKILL');
    service = undefined;
  });

  it('should leave no engine behind when it is killed while it draws', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES });
    const engine = service.enginePid!;
    const running = service.post('/v1/images/generations', LONG).catch(() => 'lost');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await service.stop('SIGKILL');
    expect(await running).toBe('lost');
    for (let i = 0; i < 40 && isAlive(engine); i++) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isAlive(engine)).toBe(false);
  });

  it('should answer 422 in place of a picture when it runs without an IP-Adapter', async () => {
    service = await Service.startReady({ DATA_DIR, ...FEW_PICTURES, ENABLE_IP_ADAPTER: 'false' });
    await service.putPicture('/v1/users/ada/avatar', PANDA);
    const requests: [string, object][] = [
      ['/v1/images/memory', { user_id: 'ada', prompt: 'a fox' }],
      ['/v1/images/subject', { user_id: 'ada' }],
      ['/v1/images/generations', { prompt: 'a fox', reference_image_url: 'http://example.com/a.png' }],
    ];
    for (const [path, body] of requests) {
      const response = await service.post(path, body);
      expect(response.status).toBe(422);
      expect(((await response.json()) as Failure).error.code).toBe('ip_adapter_disabled');
    }
  });

  it('should stay up and say why when there is no model', async () => {
    service = await Service.start({ DATA_DIR, MODEL_FILE: join(DATA_DIR, 'missing.safetensors') });
    await service.until(
      async () => (await (await fetch(`${service!.url}/health/`)).text()).includes('MODEL_FILE'),
      'says why',
    );
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(503);
    const response = await service.post('/v1/images/generations', LONG);
    expect(response.status).toBe(503);
    expect(((await response.json()) as Failure).error.code).toBe('engine_not_ready');
    expect(await service.stop()).toEqual({ code: 0, signal: null });
  });

  it('should say "no GPU device" where a GPU is required and none is there', async () => {
    service = await Service.start({ DATA_DIR, REQUIRE_GPU: 'true' });
    await service.until(
      async () => (await (await fetch(`${service!.url}/health/`)).text()).includes('no GPU device'),
      'says why',
    );
    expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
  });

  it('should refuse to start with wrong variables, or on a port that is taken, in one sentence', async () => {
    const start = (variables: Record<string, string>) => {
      const main = join(__dirname, '../../dist/apps/server/src/main.js');
      const env = { PATH: process.env.PATH, MODEL_PATH: 'demo', DATA_DIR, LOG_LEVEL: 'silent', ...variables };
      const { status, stderr } = spawnSync(process.execPath, [main], {
        env,
        cwd: DATA_DIR,
        encoding: 'utf8',
      });
      return { status, stderr };
    };
    expect(start({ PORT: 'eighty', S3_BUCKET_NAME: 'X' })).toEqual({
      status: 1,
      stderr:
        'PORT must be a whole number from 0 to 65535\nS3_BUCKET_NAME must be a bucket name: 3 to 63 of a-z, 0-9, "." and "-"\n',
    });
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { status, stderr } = start({ PORT: String(port) });
    other.close();
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(/^Another program listens on 127\.0\.0\.1:\d+; set PORT/) as string,
    });
  });
});
