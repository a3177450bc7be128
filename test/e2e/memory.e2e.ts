import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { temporaryFolder } from '../support/demo';
import { isAlive, Service } from '../support/service';

const ROUTE = '/v1/images/generations';
// Without guidance only one prompt is encoded.
const SMALL = { prompt: 'a fox', size: '64x64', num_inference_steps: 1, guidance_scale: 1, seed: 7 };
const MB = 1_000_000;

/** From now on a process gets this many bytes more than it has, and then none. */
function limitMemory(pid: number, more: number): void {
  const [, kibibytes] = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
  execFileSync('prlimit', ['--pid', String(pid), `--as=${Number(kibibytes) * 1024 + more}`]);
}

describe('The service when memory is short', () => {
  const DATA_DIR = temporaryFolder();
  let service: Service;
  let engine: number;
  beforeAll(async () => {
    service = await Service.startReady({ DATA_DIR });
    engine = service.enginePid!;
    // What the engine allocates once is there after a first picture.
    expect(await draw('64x64')).toMatchObject({ status: 200, body: { warnings: [] } });
  });
  afterAll(() => service.stop('SIGKILL'));

  const draw = async (size: string) => {
    const response = await service.post(ROUTE, { ...SMALL, size });
    const { status } = response;
    return { status, retry: response.headers.get('x-should-retry'), body: await response.json() };
  };

  it('should decode in tiles what cannot be decoded at once', async () => {
    // 512x128 takes 252 MB to decode at once, 126 MB in tiles, and a graph of 145 MB either way.
    limitMemory(engine, 320 * MB);
    expect(await draw('512x128')).toMatchObject({
      status: 200,
      body: { data: [{ size: '512x128' }], warnings: [expect.stringContaining('decoded in tiles')] },
    });
    expect(service.enginePid).toBe(engine);
  });

  it('should name a size that fits where the engine dies of it, and draw on with another', async () => {
    // No new memory at all, not even for the graph of the text encoder: the engine aborts.
    limitMemory(engine, -1000 * MB);
    const message = 'The picture needs more memory than the device has; a picture of 512x128 fits.';
    expect(await draw('512x192')).toMatchObject({
      status: 500,
      retry: 'false',
      body: { error: { code: 'out_of_memory', param: 'size', message } },
    });
    expect(isAlive(engine)).toBe(false);
    const jobs = (await (await fetch(`${service.url}/v1/jobs?state=failed`)).json()) as { data: object[] };
    expect(jobs.data).toEqual([expect.objectContaining({ attempts: 1 })]);
    expect(await draw('64x64')).toMatchObject({ status: 200 });
  });
});
