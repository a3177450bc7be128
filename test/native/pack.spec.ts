import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ROOT = join(__dirname, '../..');

describe('npm run bench:gpu -- --pack', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pack-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('should make a folder that runs elsewhere without the repository', () => {
    const [packed, moved, out] = ['packed', 'moved', 'out'].map((name) => join(folder, name));
    const script = join(ROOT, 'bench/gpu.mjs');
    const pack = () =>
      spawnSync(process.execPath, [script, '--pack', packed, '--no-node'], { encoding: 'utf8' });
    expect(pack()).toMatchObject({ status: 0, stderr: '' });
    expect(pack().stderr).toContain(
      `Expected a new or empty folder for --pack but ${packed} holds something`,
    );

    renameSync(packed, moved);
    const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin` };
    const run = (...args: string[]) =>
      spawnSync(join(moved, 'run.sh'), args, { cwd: folder, env, encoding: 'utf8' });
    const { status, stdout, stderr } = run('--list', '--out', out);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^Engine: stable-diffusion\.cpp [0-9a-f]{7} [^]*\nDevice CPU: /);
    expect(readFileSync(join(out, 'results.jsonl'), 'utf8')).toContain('"name":"CPU"');
    expect(run('-L', 'nowhere').stderr).toBe('Expected a folder for -L but received nowhere\n');
  });
});
