import { constants } from 'node:fs';
import { link, lstat, mkdir, open, realpath, rename, unlink, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assertKey, assertPrefix } from './key';
import { errno, isAbsent, localUnavailable } from './local.errors';
import {
  findFolder,
  isFolder,
  makeFolder,
  nameTaken,
  removeEmptyFolders,
  removeFolder,
  syncFolders,
} from './local.folder';
import { TemporaryFiles } from './local.temporary';
import { describe, walk } from './local.walk';
import { Storage, tooLarge, type ObjectInfo, type StoredObject } from './storage';

/** Each lost race costs one; a storage that loses this many in a row is not working. */
const MAX_ATTEMPTS = 100;

/** No symbolic links, and no waiting for the other end of a named pipe. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Objects as files: the key is the path below a root folder. One process at a time is to own the root.
 *
 * Unlike S3, a file system cannot hold both `a` and `a/b`: the second put is refused with `invalid_request`.
 * Symbolic links below the root are not objects, and nothing is read or written through them.
 */
export class LocalStorage extends Storage {
  readonly bucket = 'local';

  private constructor(
    private readonly root: string,
    private readonly temporary: TemporaryFiles,
  ) {
    super();
  }

  /** Makes `folder` where it is missing, and removes what killed processes left half written. */
  static async open(folder: string): Promise<LocalStorage> {
    return attempt('start', async () => {
      await mkdir(folder, { recursive: true });
      // The root itself may be a link: operators put DATA_DIR on other disks that way.
      const root = await realpath(folder);
      const temporary = new TemporaryFiles(root);
      await temporary.prepare();
      return new LocalStorage(root, temporary);
    });
  }

  async put(key: string, body: Buffer): Promise<void> {
    await this.write(key, body, rename);
  }

  async create(key: string, body: Buffer): Promise<boolean> {
    return this.write(key, body, link);
  }

  async open(key: string): Promise<StoredObject | undefined> {
    const found = await this.find(key);
    return found && { ...found.info, body: found.file.createReadStream() };
  }

  async read(key: string, maxBytes: number): Promise<Buffer | undefined> {
    const found = await this.find(key);
    if (!found) return undefined;
    return attempt('read', async () => {
      try {
        if (found.info.size > maxBytes) throw tooLarge(maxBytes);
        return await found.file.readFile();
      } finally {
        await found.file.close();
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    assertPrefix(prefix);
    const segments = prefix.split('/').slice(0, -1);
    try {
      const folder = await findFolder(this.root, segments);
      if (folder) yield* walk(folder, segments.map((segment) => `${segment}/`).join(''), prefix);
    } catch (error) {
      throw localUnavailable('list', error);
    }
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    await attempt('delete', async () => {
      const segments = key.split('/');
      const folder = await findFolder(this.root, segments.slice(0, -1));
      if (!folder) return;
      const path = join(folder, basename(key));
      try {
        if (!(await lstat(path)).isFile()) return;
        await unlink(path);
      } catch (error) {
        if (isAbsent(error)) return;
        throw error;
      }
      // S3 has no folders. An empty one left here would refuse an object of its name.
      await removeEmptyFolders(this.root, folder);
      await syncFolders(this.root, folder);
    });
  }

  async check(): Promise<void> {
    await attempt('write', async () => unlink(await this.temporary.write(Buffer.from('check'))));
  }

  presign(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** false: `move` is one that replaces nothing, and there is an object. */
  private async write(key: string, body: Buffer, move: typeof rename): Promise<boolean> {
    assertKey(key);
    return attempt('write', async () => {
      const file = await this.temporary.write(body);
      try {
        const folder = await this.place(file, key, move);
        if (folder !== undefined) await syncFolders(this.root, folder);
        return folder !== undefined;
      } finally {
        await this.temporary.remove(file);
      }
    });
  }

  /** Makes a temporary file the object `key`; resolves to the folder that holds it now. */
  private async place(file: string, key: string, move: typeof rename): Promise<string | undefined> {
    const segments = key.split('/');
    const path = join(this.root, key);
    for (let attempts = 1; ; attempts++) {
      try {
        const folder = await makeFolder(this.root, segments.slice(0, -1));
        await move(file, join(folder, basename(key)));
        return folder;
      } catch (error) {
        if (attempts === MAX_ATTEMPTS) throw error;
        // A delete removed the folder as empty between the two calls, or a crash left an empty one of this name.
        if (errno(error) === 'ENOENT') continue;
        if (errno(error) === 'EEXIST' && !(await isFolder(path))) return undefined;
        if (!['EISDIR', 'EEXIST'].includes(errno(error) ?? '')) throw error;
        if (!(await removeFolder(path))) throw nameTaken(`there are objects below ${key}/`);
      }
    }
  }

  /** An open file and what is known of it. A put replaces files, never changes them: both stay true together. */
  private async find(key: string): Promise<{ file: FileHandle; info: ObjectInfo } | undefined> {
    assertKey(key);
    return attempt('read', async () => {
      const folder = await findFolder(this.root, key.split('/').slice(0, -1));
      if (!folder) return undefined;
      const file = await open(join(folder, basename(key)), READ).catch((error: unknown) => {
        if (isAbsent(error)) return undefined;
        throw error;
      });
      try {
        const stats = await file?.stat({ bigint: true });
        if (file && stats?.isFile()) return { file, info: describe(key, stats) };
      } catch (error) {
        await file?.close();
        throw error;
      }
      await file?.close();
      return undefined;
    });
  }
}

async function attempt<T>(action: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw localUnavailable(action, error);
  }
}
