import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../support/demo';
import { key } from '../support/keys';
import { Service } from '../support/service';

const ROOT = join(__dirname, '../..');
/** Beside what else is built, from where packages are found. */
const FOLDER = join(ROOT, 'dist/client');
const PANDA = join(ROOT, 'test/fixtures/panda-on-purple.png');
const ada = key('ada', ['draw', 'read', 'users'], 'ada');

const run = (...command: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: ROOT, encoding: 'utf8' });
  return { status, stdout, stderr };
};
const bin = (name: string) => join(ROOT, 'node_modules', name);

describe('A client that was generated from openapi.json', () => {
  const DATA_DIR = temporaryFolder();
  let service: Service;

  beforeAll(async () => {
    mkdirSync(FOLDER, { recursive: true });
    copyFileSync(join(ROOT, 'test/fixtures/client/main.ts'), join(FOLDER, 'main.ts'));
    service = await Service.startReady({ DATA_DIR, API_KEYS: JSON.stringify([ada.entry]) });
  });
  afterAll(() => service?.stop('SIGKILL'));

  it('should compile, and store an avatar, have an image drawn after it, fetch it and remove it', () => {
    const types = join(FOLDER, 'openapi.types.ts');
    const generated = run(
      bin('openapi-typescript/bin/cli.js'),
      'openapi.json',
      '--output',
      types,
      '--default-non-nullable=false',
    );
    expect(generated).toMatchObject({ status: 0 });
    const options = [
      '--strict',
      '--skipLibCheck',
      '--types',
      'node',
      '--target',
      'ES2023',
      '--module',
      'node16',
    ];
    const compiled = run(bin('typescript/bin/tsc'), ...options, '--ignoreConfig', join(FOLDER, 'main.ts'));
    expect(compiled).toMatchObject({ status: 0, stdout: '' });
    const { status, stdout, stderr } = run(join(FOLDER, 'main.js'), service.url, PANDA, ada.secret);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      width: expect.any(Number) as number,
      seed: 4_294_967_295,
      png: 'PNG',
      removed: 204,
    });
  });
});
