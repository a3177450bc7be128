import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forkEngine } from './engine.fork';

describe(forkEngine.name, () => {
  const folder = mkdtempSync(join(tmpdir(), 'engine-'));
  const main = join(folder, 'main.js');
  writeFileSync(main, 'process.send("up"); setInterval(() => {}, 1000);');
  afterEach(() => jest.restoreAllMocks());
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The environment of a process as the kernel has it, which an intruder would read too. */
  async function environmentWith(
    variables: Record<string, string>,
    added = {},
  ): Promise<Record<string, string>> {
    jest.replaceProperty(process, 'env', variables);
    const child = forkEngine(main, added);
    await once(child, 'message');
    const entries = readFileSync(`/proc/${child.pid}/environ`, 'utf8').split('\0').filter(Boolean);
    child.kill('SIGKILL');
    return Object.fromEntries(entries.map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
  }

  it('should hand on what loaders, drivers and the engine read', async () => {
    const variables = {
      ...{
        PATH: '/usr/bin',
        HOME: '/home/ann',
        LD_LIBRARY_PATH: '/opt/lib',
        LC_ALL: 'C.UTF-8',
        TMPDIR: '/var/tmp',
      },
      ...{ CUDA_VISIBLE_DEVICES: '0', NVIDIA_VISIBLE_DEVICES: 'all', GGML_VK_VISIBLE_DEVICES: '1' },
      ...{
        VK_DRIVER_FILES: '/a.json',
        HIP_VISIBLE_DEVICES: '0',
        ONEAPI_DEVICE_SELECTOR: 'gpu',
        OMP_NUM_THREADS: '4',
      },
    };
    expect(await environmentWith(variables, { CUDA_CACHE_PATH: '/cache' })).toMatchObject({
      ...variables,
      CUDA_CACHE_PATH: '/cache',
      GGML_NO_BACKTRACE: '1',
    });
  });

  it('should keep every secret and every variable of the service to itself', async () => {
    const secrets = [
      ...['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_WEB_IDENTITY_TOKEN_FILE'],
      ...[
        'REDIS_URL',
        'URL_SECRET',
        'WEBHOOK_SECRET',
        'API_KEYS',
        'API_KEYS_FILE',
        'HF_TOKEN',
        'S3_ENDPOINT',
      ],
      ...[
        'HTTPS_PROXY',
        'DATABASE_URL',
        'GITHUB_TOKEN',
        'NODE_AUTH_TOKEN',
        'NVIDIA_API_KEY',
        'INTEL_API_TOKEN',
      ],
    ];
    const variables = Object.fromEntries(secrets.map((name) => [name, 'not-a-secret']));
    const environment = await environmentWith({ PATH: '/usr/bin', ...variables });
    expect(Object.keys(environment).filter((name) => name in variables)).toEqual([]);
    expect(JSON.stringify(environment)).not.toContain('not-a-secret');
  });
});
