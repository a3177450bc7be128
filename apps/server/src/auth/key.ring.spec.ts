import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Logger } from '@nestjs/common';
import { ConfigError, loadConfig } from '@app/config';
import { key } from '../../../../test/support/keys';
import { KeyRing } from './key.ring';

const chat = key('chat', ['draw', 'read']);
const ann = key('ann', ['read'], 'ann');

describe(KeyRing.name, () => {
  let folder: string;
  let file: string;
  let warn: jest.SpyInstance;
  const write = (...entries: object[]) => writeFile(file, JSON.stringify(entries));
  const open = (variables: Record<string, string> = { API_KEYS_FILE: file }) =>
    new KeyRing(loadConfig(variables));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keys-'));
    file = join(folder, 'keys.json');
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation();
    jest.spyOn(Logger.prototype, 'log').mockImplementation();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await rm(folder, { recursive: true });
  });

  it('should know the keys of the variable and of the file, and no others', async () => {
    await write(ann.entry);
    const ring = open({ API_KEYS: JSON.stringify([chat.entry]), API_KEYS_FILE: file });
    expect(ring.find(chat.secret)).toMatchObject({ name: 'chat', scopes: ['draw', 'read'] });
    expect(ring.find(chat.secret)!.userId).toBeUndefined();
    expect(ring.find(ann.secret)).toMatchObject({ name: 'ann', userId: 'ann' });
    for (const wrong of ['', 'x', `${chat.secret} `, chat.secret.slice(1), chat.entry.sha256]) {
      expect(ring.find(wrong)).toBeUndefined();
    }
  });

  it('should refuse to start with a list that is broken, missing, or names a key twice', async () => {
    expect(() => open()).toThrow('API_KEYS_FILE must be a file that this user can read (ENOENT)');
    await writeFile(file, '{');
    expect(() => open()).toThrow(ConfigError);
    await write(chat.entry);
    const twice = { API_KEYS: JSON.stringify([chat.entry]), API_KEYS_FILE: file };
    expect(() => open(twice)).toThrow(/only once/);
  });

  it('should follow its file: keys come and go, and who kept theirs notices nothing', async () => {
    await write(chat.entry, ann.entry);
    const ring = open();
    const before = { chat: ring.find(chat.secret)!, ann: ring.find(ann.secret)! };
    const phone = key('phone', ['draw']);
    await write(phone.entry, chat.entry);
    await ring.reload();
    expect(ring.find(phone.secret)).toBeDefined();
    expect(ring.find(ann.secret)).toBeUndefined();
    expect(before.ann.revoked.aborted).toBe(true);
    expect(ring.find(chat.secret)).toBe(before.chat);
    expect(before.chat.revoked.aborted).toBe(false);

    // A key that may do something else now is another key to whoever holds a stream open.
    await write({ ...chat.entry, scopes: ['read'] });
    await ring.reload();
    expect(before.chat.revoked.aborted).toBe(true);
    expect(ring.find(chat.secret)).toMatchObject({ scopes: ['read'] });
  });

  it('should follow a link that is swapped, as Kubernetes mounts secrets', async () => {
    const mount = async (version: string, entry: object) => {
      await mkdir(join(folder, version));
      await writeFile(join(folder, version, 'keys.json'), JSON.stringify([entry]));
      await symlink(version, join(folder, 'new'));
      await rename(join(folder, 'new'), join(folder, 'data'));
    };
    await mount('v1', chat.entry);
    await symlink(join('data', 'keys.json'), file);
    const ring = open();
    await mount('v2', ann.entry);
    await ring.reload();
    expect(ring.find(chat.secret)).toBeUndefined();
    expect(ring.find(ann.secret)).toBeDefined();
  });

  it('should keep its keys and warn once while the file is broken or missing', async () => {
    await write(chat.entry);
    const ring = open();
    await writeFile(file, '[{"name": "hunter2"}]');
    for (let i = 0; i < 3; i++) await ring.reload();
    expect(ring.find(chat.secret)).toBeDefined();
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn).toHaveBeenLastCalledWith(expect.stringMatching(/^API_KEYS_FILE must .* stay as they were$/));
    expect(warn).not.toHaveBeenCalledWith(expect.stringContaining('hunter2'));

    await rm(file);
    for (let i = 0; i < 3; i++) await ring.reload();
    expect(ring.find(chat.secret)).toBeDefined();
    expect(warn).toHaveBeenCalledTimes(2);

    // Mended, then broken in the same way: that is news.
    await write(chat.entry);
    await ring.reload();
    await rm(file);
    await ring.reload();
    expect(warn).toHaveBeenCalledTimes(3);
  });
});
