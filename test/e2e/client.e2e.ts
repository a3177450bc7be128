import { spawnSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { key } from '../support/keys';
import { Service } from '../support/service';

const ROOT = join(__dirname, '../..');
const CLIENT = join(ROOT, 'clients/node');
/** What the client needs, as it is installed here: no registry is asked. */
const NEEDS = ['openapi-fetch', 'openapi-typescript-helpers', 'eventsource-parser'];
const PANDA = join(ROOT, 'test/fixtures/panda-on-purple.png');
/** Of the guide's example, whose picture is not looked at. */
const QUICK = 'num_inference_steps: 1, guidance_scale: 1';
const ada = key('ada', ['draw', 'read', 'users'], 'ada');

function run(cwd: string, [file, ...parameters]: string[], env: Record<string, string> = {}): string {
  const { status, stdout, stderr } = spawnSync(file, parameters, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  if (status !== 0)
    throw new Error(`${file} ${parameters.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout;
}
const node = (script: string, ...parameters: string[]) => [
  process.execPath,
  join(ROOT, 'node_modules', script),
  ...parameters,
];

describe('The client for Node', () => {
  const DATA_DIR = temporaryFolder();
  /** Somebody's project. */
  const project = temporaryFolder();
  const packed = temporaryFolder();
  let service: Service;

  beforeAll(async () => {
    const pack = ['npm', 'pack', '--silent', '--pack-destination', packed];
    run(CLIENT, pack);
    run(ROOT, [...pack, '--ignore-scripts', ...NEEDS.map((name) => `./node_modules/${name}`)]);
    const files = readdirSync(packed).map((file) => join(packed, file));
    writeFileSync(join(project, 'package.json'), '{"private": true}');
    run(project, ['npm', 'install', '--offline', '--no-audit', '--no-fund', ...files]);
    copyFileSync(join(ROOT, 'test/fixtures/client/main.ts'), join(project, 'main.ts'));
    const [example] = /(?<=```ts\n)[^]*?(?=```)/.exec(readFileSync(join(CLIENT, 'README.md'), 'utf8'))!;
    writeFileSync(join(project, 'example.ts'), example.replace('seed: 42', `$&, ${QUICK}`));
    service = await Service.startReady({
      DATA_DIR,
      API_KEYS: JSON.stringify([ada.entry]),
      DEFAULT_SIZE: '64x64',
    });
  });
  afterAll(() => service?.stop('SIGKILL'));

  it('should be of the API as openapi.json describes it', () => {
    const output = ['--output', 'src/openapi.types.ts', '--default-non-nullable=false'];
    run(CLIENT, node('openapi-typescript/bin/cli.js', '../../openapi.json', ...output, '--check'));
  });

  it('should bring code, types, a guide and the licence, and nothing else', () => {
    const installed = join(project, 'node_modules/sdxl-image-service-client');
    expect(readdirSync(installed).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json']);
    expect(readdirSync(join(installed, 'dist')).filter((file) => !/\.(js|d\.ts)$/.test(file))).toEqual([]);
  });

  describe('in a project of its own', () => {
    beforeAll(() => {
      const types = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')];
      const strict = ['--strict', '--target', 'ES2023', '--module', 'node16', ...types];
      run(project, node('typescript/bin/tsc', ...strict, 'main.ts', 'example.ts'));
    });

    it('should draw after an avatar, follow the job, fetch the picture, cancel, and tell errors apart', () => {
      const stdout = run(project, [process.execPath, 'main.js', service.url, PANDA, ada.secret]);
      expect(JSON.parse(stdout)).toEqual({
        width: expect.any(Number) as number,
        seed: 4_294_967_295,
        png: 'PNG',
        first: 'state',
        steps: true,
        removed: 204,
        cancelled: 'cancelled',
        outcome: 'cancelled',
        refusal: [400, 'prompt'],
        loras: 1,
      });
    });

    it('should do what its guide shows', () => {
      const stdout = run(project, [process.execPath, 'example.js'], {
        SERVICE_URL: service.url,
        API_KEY: ada.secret,
      });
      expect(stdout).toMatch(/^\d+ %\n[^]*fox\.png, 64x64 \[\]\n$/);
      expect(readFileSync(join(project, 'fox.png')).toString('latin1', 1, 4)).toBe('PNG');
    });
  });
});
