import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { SECRET_FILE, urlSecret } from './url.secret';

describe(urlSecret.name, () => {
  let folder: string;
  const get = (variables: Record<string, string> = {}) =>
    urlSecret(loadConfig({ DATA_DIR: folder, ...variables }));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'url-secret-'));
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await rm(folder, { recursive: true });
  });

  it('should be URL_SECRET where it is set, with nothing written', async () => {
    const URL_SECRET = 'x'.repeat(32);
    expect(await get({ URL_SECRET })).toBe(URL_SECRET);
    expect(await readdir(folder)).toEqual([]);
  });

  it('should be made once, for this user alone, and be the same after a restart', async () => {
    const secret = (await get()) as Buffer;
    expect(secret).toHaveLength(32);
    expect(await readdir(folder)).toEqual([SECRET_FILE]);
    expect((await stat(join(folder, SECRET_FILE))).mode & 0o777).toBe(0o600);
    expect(await get()).toEqual(secret);
    await rm(join(folder, SECRET_FILE));
    expect(await get()).not.toEqual(secret);
  });

  it('should be made anew when a process died before its secret had its name', async () => {
    await writeFile(join(folder, `${SECRET_FILE}.tmp`), 'half', { mode: 0o644 });
    expect(await get()).toHaveLength(32);
    expect(await readdir(folder)).toEqual([SECRET_FILE]);
    expect((await stat(join(folder, SECRET_FILE))).mode & 0o777).toBe(0o600);
  });

  it('should leave nothing when it cannot be written whole', async () => {
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' });
    jest.spyOn(fs, 'rename').mockRejectedValue(full);
    await expect(get()).rejects.toMatchObject({ message: expect.stringContaining('ENOSPC') as string });
    expect(await readdir(folder)).toEqual([]);
  });

  it('should not sign with half a secret, and say what to do', async () => {
    await writeFile(join(folder, SECRET_FILE), 'short');
    await expect(get()).rejects.toThrow('url.secret in DATA_DIR must hold 32 bytes: remove it');
    expect(await readFile(join(folder, SECRET_FILE), 'utf8')).toBe('short');
  });

  it('should say in one sentence when DATA_DIR refuses it', async () => {
    await rm(folder, { recursive: true });
    await writeFile(folder, '');
    await chmod(folder, 0o600);
    await expect(get()).rejects.toThrow(
      /^url.secret in DATA_DIR must be a file .* \(ENOTDIR\); or set URL_SECRET$/,
    );
  });
});
