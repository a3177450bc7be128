import { lstat, mkdir, open, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ServiceError } from '@app/errors';
import { errno, isAbsent } from './local.errors';

/*
 * Folders between the root and an object. Each is looked at without following symbolic links, so that no
 * link in the tree leads out of it. A local process that swaps folders for links between the look and the use
 * is not defended against: it has the service's rights already.
 */

/** The real folder at `segments` below `root`, or undefined when something else or nothing is there. */
export async function findFolder(root: string, segments: readonly string[]): Promise<string | undefined> {
  let folder = root;
  for (const segment of segments) {
    folder = join(folder, segment);
    try {
      if (!(await lstat(folder)).isDirectory()) return undefined;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }
  return folder;
}

/** The same, made where it is missing. `invalid_request` when an object bears one of the names. */
export async function makeFolder(root: string, segments: readonly string[]): Promise<string> {
  let folder = root;
  for (const [index, segment] of segments.entries()) {
    folder = join(folder, segment);
    try {
      await mkdir(folder);
    } catch (error) {
      if (errno(error) !== 'EEXIST') throw error;
    }
    const there = await lstat(folder);
    if (there.isDirectory()) continue;
    const name = segments.slice(0, index + 1).join('/');
    if (there.isFile()) throw nameTaken(`${name} is an object, so no object can be below it`);
    throw new ServiceError(
      'storage_unavailable',
      `DATA_DIR/${name} must be a folder: symbolic links are not followed.`,
    );
  }
  return folder;
}

/** Two keys that S3 holds side by side, but a file system cannot: `a` and `a/b`. */
export const nameTaken = (reason: string): ServiceError =>
  new ServiceError('invalid_request', `The storage key is not free: ${reason}.`);

export const isFolder = (path: string): Promise<boolean> =>
  lstat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** Removes `folder` and then its parents below `root` as long as they are empty. */
export async function removeEmptyFolders(root: string, folder: string): Promise<void> {
  for (; folder !== root; folder = dirname(folder)) if (!(await removeFolder(folder))) return;
}

/** false when it is not empty. */
export async function removeFolder(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST'].includes(errno(error) ?? '')) return false;
    if (!isAbsent(error)) throw error;
  }
  return true;
}

/** Writes the entries of `folder` and of its parents up to `root` down to the disk: names are data of folders. */
export async function syncFolders(root: string, folder: string): Promise<void> {
  for (; ; folder = dirname(folder)) {
    try {
      const handle = await open(folder, 'r');
      await handle.sync().finally(() => handle.close());
    } catch (error) {
      if (!isAbsent(error)) throw error; // removed meanwhile with the last object in it
    }
    if (folder === root) return;
  }
}
