import { mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PartFile } from './part.file';

const SILENCE = 1_000;

describe(PartFile.name, () => {
  let folder: string;
  let target: string;
  const claimed: PartFile[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parts-'));
    target = join(folder, 'blob');
  });
  afterEach(async () => {
    for (const part of claimed.splice(0)) part.release();
    await rm(folder, { recursive: true });
  });

  async function claim(): Promise<PartFile> {
    const part = await PartFile.claim(target, SILENCE);
    claimed.push(part);
    return part;
  }
  async function leave(host: string, pid: number, bytes = 'bytes'): Promise<string> {
    const path = `${target}.${host}.${pid}.0.part`;
    await writeFile(path, bytes);
    return path;
  }

  it('should take over what a killed container left, though it has another name now', async () => {
    await leave('container-1', 1);
    expect(await PartFile.left(target)).toBe(5);
    const part = await claim();
    expect(await readFile(part.path, 'utf8')).toBe('bytes');
    expect(await readdir(folder)).toHaveLength(1);
  });

  it('should leave the part of another machine alone while that gives signs of life', async () => {
    const path = await leave('machine-2', 1);
    const signs = setInterval(() => void utimes(path, new Date(), new Date()), SILENCE / 6);
    const part = await claim();
    clearInterval(signs);
    expect(await part.size()).toBe(0);
    expect(await readFile(path, 'utf8')).toBe('bytes');
  });

  it('should not wait for another machine where a dead process of this one left a part', async () => {
    await leave('machine-2', 1, 'more bytes');
    await leave(hostname(), 4194305); // above the kernel's limit
    const begun = performance.now();
    expect(await (await claim()).size()).toBe(5);
    expect(performance.now() - begun).toBeLessThan(SILENCE);
  });

  it('should give signs of life itself, also while no bytes come, until it is let go', async () => {
    const part = await claim();
    await (await part.open('append')).close();
    const sign = async () => (await stat(part.path)).mtimeMs;
    const first = await sign();
    await sleep(SILENCE);
    expect(await sign()).toBeGreaterThan(first);
    part.release();
    await sleep(SILENCE / 2); // one may be under way
    const last = await sign();
    await sleep(SILENCE);
    expect(await sign()).toBe(last);
  });
});
