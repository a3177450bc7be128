import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigModule, loadConfig } from '@app/config';
import { CONFIG_VARIABLES } from '../libs/config/config';

const ROOT = join(__dirname, '..');
const FILES = ['.env.example', 'docs/configuration.md'];

describe('The documentation of the configuration', () => {
  const folder = mkdtempSync(join(tmpdir(), 'config-docs-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = (...args: string[]) => {
    const tool = join(ROOT, 'tools/config.docs.mjs');
    const { status, stderr } = spawnSync(process.execPath, [tool, ...args], { encoding: 'utf8' });
    return { status, stderr };
  };
  const named = (file: string, pattern: RegExp) =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(pattern)].map(([, name]) => name);

  it('should be what the class says', () =>
    // When this fails: npm run docs:config
    expect(run('--check')).toEqual({ status: 0, stderr: '' }));

  it.each(FILES)('should be found wrong where somebody has edited %s', (edited) => {
    mkdirSync(join(folder, 'docs'), { recursive: true });
    for (const file of FILES) copyFileSync(join(ROOT, file), join(folder, file));
    expect(run('--check', '--folder', folder)).toEqual({ status: 0, stderr: '' });
    const text = readFileSync(join(folder, edited), 'utf8');
    writeFileSync(join(folder, edited), text.replace('2000', '2001'));
    expect(run('--check', '--folder', folder)).toEqual({
      status: 1,
      stderr: expect.stringContaining(`${edited} differs from the Config class`) as string,
    });
    run('--folder', folder);
    expect(readFileSync(join(folder, edited), 'utf8')).toBe(text);
  });

  it('should name every variable, in the order of the class', () => {
    expect(named('.env.example', /^#?([A-Z][A-Z0-9_]+)=/gm)).toEqual(CONFIG_VARIABLES);
    expect(named('docs/configuration.md', /^### (.+)$/gm)).toEqual(CONFIG_VARIABLES);
  });

  it('should change nothing, taken as .env', async () => {
    const env = jest.replaceProperty(process, 'env', {});
    const config = await ConfigModule.read(join(ROOT, '.env.example')).finally(() => env.restore());
    expect(config).toEqual(loadConfig({}));
  });
});
