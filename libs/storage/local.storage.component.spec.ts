import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { LocalStorage } from './local.storage';
import { storageContract } from './storage.contract';

const folders: string[] = [];
const newFolder = async () => {
  folders.push(await mkdtemp(join(tmpdir(), 'local-storage-')));
  return folders.at(-1)!;
};
afterEach(() => Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true }))));

storageContract('LocalStorage', async () => LocalStorage.open(join(await newFolder(), 'data')));

describe(LocalStorage.name, () => {
  let root: string;
  let storage: LocalStorage;

  beforeEach(async () => {
    root = await newFolder();
    storage = await LocalStorage.open(root);
  });

  const put = (key: string, text = key) => storage.put(key, Buffer.from(text));
  const keys = async (prefix = '') => {
    const found: string[] = [];
    for await (const { key } of storage.list(prefix)) found.push(key);
    return found.sort();
  };
  const leftovers = () => readdir(join(root, '.tmp'));

  describe('one key below another', () => {
    it('should refuse an object below an object, and leave that one alone', async () => {
      await put('avatars/bob', 'picture');
      await expect(put('avatars/bob/x.png')).rejects.toMatchObject({
        code: 'invalid_request',
        message: 'The storage key is not free: avatars/bob is an object, so no object can be below it.',
      });
      expect(await readFile(join(root, 'avatars/bob'), 'utf8')).toBe('picture');
      expect(await leftovers()).toEqual([]);
    });

    it('should refuse an object under the name of a folder with objects', async () => {
      await put('avatars/bob/x.png');
      await expect(put('avatars/bob')).rejects.toMatchObject({
        code: 'invalid_request',
        message: 'The storage key is not free: there are objects below avatars/bob/.',
      });
      expect(await keys()).toEqual(['avatars/bob/x.png']);
      expect(await leftovers()).toEqual([]);
    });

    it('should put an object where a crash left an empty folder', async () => {
      await mkdir(join(root, 'avatars/bob'), { recursive: true });
      await put('avatars/bob', 'picture');
      expect(await readFile(join(root, 'avatars/bob'), 'utf8')).toBe('picture');
    });
  });

  it('should remove folders with their last object, but never the root', async () => {
    await put('a/b/c.png');
    await put('a/d.png');
    await storage.delete('a/b/c.png');
    expect(await readdir(join(root, 'a'))).toEqual(['d.png']);
    await storage.delete('a/d.png');
    expect(await readdir(root)).toEqual(['.tmp']);
  });

  describe('symbolic links', () => {
    let outside: string;

    beforeEach(async () => {
      outside = await newFolder();
      await writeFile(join(outside, 'secret.png'), 'secret');
      await symlink(outside, join(root, 'folder'));
      await symlink(join(outside, 'secret.png'), join(root, 'file.png'));
    });

    it('should not be read or listed', async () => {
      for (const key of ['file.png', 'folder', 'folder/secret.png']) {
        expect(await storage.open(key)).toBeUndefined();
        expect(await storage.read(key, 100)).toBeUndefined();
      }
      expect(await keys()).toEqual([]);
      expect(await keys('folder/')).toEqual([]);
    });

    it('should not be deleted through', async () => {
      await storage.delete('folder/secret.png');
      await storage.delete('file.png');
      expect(await readFile(join(outside, 'secret.png'), 'utf8')).toBe('secret');
    });

    it('should not be written through', async () => {
      for (const key of ['folder/new.png', 'folder/deep/new.png'])
        await expect(put(key)).rejects.toMatchObject({ code: 'storage_unavailable' });
      expect(await readdir(outside)).toEqual(['secret.png']);
      expect(await leftovers()).toEqual([]);
    });

    it('should be replaced by an object of their name', async () => {
      await put('file.png', 'mine');
      expect(await readFile(join(outside, 'secret.png'), 'utf8')).toBe('secret');
      expect((await storage.read('file.png', 100))?.toString()).toBe('mine');
    });

    it('should be fine for the root itself', async () => {
      await put('a.png', 'a');
      await symlink(root, join(outside, 'root'));
      const linked = await LocalStorage.open(join(outside, 'root'));
      expect((await linked.read('a.png', 100))?.toString()).toBe('a');
    });

    it('should not stand in for the temporary folder', async () => {
      await rm(join(root, '.tmp'), { recursive: true });
      await symlink(outside, join(root, '.tmp'));
      await expect(LocalStorage.open(root)).rejects.toMatchObject({ code: 'storage_unavailable' });
      expect(await readdir(outside)).toEqual(['secret.png']);
    });
  });

  it('should keep serving the old bytes to a reader that began before a put', async () => {
    const old = Buffer.alloc(1024 * 1024, 'old');
    await storage.put('a.png', old);
    const object = await storage.open('a.png');
    await put('a.png', 'new');
    expect((await buffer(object!.body)).equals(old)).toBe(true);
  });

  it('should list on when objects and folders vanish meanwhile', async () => {
    for (const key of ['a/1', 'a/2', 'b/1', 'c/1']) await put(key);
    const found: string[] = [];
    for await (const { key } of storage.list('')) {
      found.push(key);
      for (const other of ['a/1', 'a/2']) if (other !== key) await rm(join(root, other), { force: true });
      for (const other of ['b', 'c']) await rm(join(root, other), { recursive: true, force: true });
    }
    expect(found).toHaveLength(1);
  });

  it('should remove what a killed process left an hour ago, and nothing younger', async () => {
    await writeFile(join(root, '.tmp/old'), 'half');
    await writeFile(join(root, '.tmp/young'), 'half');
    const hourAgo = new Date(Date.now() - 61 * 60 * 1000);
    await utimes(join(root, '.tmp/old'), hourAgo, hourAgo);
    await LocalStorage.open(root);
    expect(await leftovers()).toEqual(['young']);
  });

  describe('failures', () => {
    const unavailable = {
      name: 'ServiceError',
      code: 'storage_unavailable',
      cause: { code: expect.stringMatching(/^E/) as string },
    };

    it('should leave the old object and no temporary file when the disk takes no more', async () => {
      await put('a.png', 'old');
      // A limit on the size of files stands in for a full disk: the write stops half way, with a real error.
      const child = start('ulimit -f 256', `storage.put('a.png', Buffer.alloc(1024 * 1024)).catch(report)`);
      expect(JSON.parse((await buffer(child.stdout!)).toString())).toEqual({
        code: 'storage_unavailable',
        message: 'The local storage cannot write (EFBIG): the file is larger than this process may write.',
      });
      expect(await leftovers()).toEqual([]);
      expect(await readFile(join(root, 'a.png'), 'utf8')).toBe('old');
    });

    it('should say so when the temporary folder cannot be used', async () => {
      await rm(join(root, '.tmp'), { recursive: true });
      await writeFile(join(root, '.tmp'), 'in the way');
      await expect(put('a.png')).rejects.toMatchObject(unavailable);
      await expect(storage.check()).rejects.toMatchObject(unavailable);
      await expect(LocalStorage.open(root)).rejects.toMatchObject(unavailable);
    });

    it('should not tell callers where the files are', async () => {
      await writeFile(join(root, 'file'), '');
      const failure = await LocalStorage.open(join(root, 'file/data')).catch((error: Error) => error);
      expect(failure).toMatchObject(unavailable);
      expect((failure as Error).message).toContain('DATA_DIR');
      expect((failure as Error).message).not.toContain(root);
    });

    it('should check by writing, and leave nothing', async () => {
      await storage.check();
      expect(await leftovers()).toEqual([]);
    });
  });

  it('should hold whole objects only when the process is killed in the middle of a put', async () => {
    const bodies = ['old', 'new'].map((text) => Buffer.alloc(64 * 1024 * 1024, text));
    await storage.put('a.png', bodies[0]);
    let half: number | undefined;
    // A put that outran the kill proves nothing: kill the next one.
    while (half === undefined) {
      await rm(join(root, '.tmp'), { recursive: true });
      const child = start(
        ':',
        `(async () => { for (const body = Buffer.alloc(${bodies[1].length}, 'new'); ; ) await storage.put('a.png', body); })()`,
      );
      const ended = once(child, 'close');
      while (!(await halfWritten(bodies[1].length))) expect(child.exitCode).toBeNull();
      child.kill('SIGKILL');
      await ended;
      half = await halfWritten(bodies[1].length);
    }

    const stored = await storage.read('a.png', bodies[0].length);
    expect(bodies.some((body) => body.equals(stored!))).toBe(true);
    expect(await keys()).toEqual(['a.png']);
  }, 60_000);

  /** The size of a temporary file that is begun but not complete. */
  async function halfWritten(size: number): Promise<number | undefined> {
    const names = await leftovers().catch(() => []);
    const files = await Promise.all(
      names.map((name) => lstat(join(root, '.tmp', name)).catch(() => undefined)),
    );
    return files.find((file) => file && file.size > 0 && file.size < size)?.size;
  }

  /** Runs `code` on a storage of the same root in a process of its own. */
  function start(before: string, code: string): ChildProcess {
    const program = `
      const { LocalStorage } = require('./libs/storage/local.storage.ts');
      const report = ({ code, message }) => console.log(JSON.stringify({ code, message }));
      LocalStorage.open(process.argv[1]).then((storage) => ${code});`;
    const node = [process.execPath, '-r', './test/support/typescript.js', '-e', program, root];
    return spawn('bash', ['-c', `${before} && exec "$@"`, 'bash', ...node], {
      cwd: join(__dirname, '../..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }
});
