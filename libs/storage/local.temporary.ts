import { randomUUID } from 'node:crypto';
import { lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ServiceError } from '@app/errors';
import { TEMPORARY_FOLDER } from './key';
import { isAbsent } from './local.errors';

/** No write takes this long: what is older was left by a process that died. */
const LEFTOVER_MS = 60 * 60 * 1000;

/**
 * Files that are not objects yet. They are on the objects' file system, so that one rename makes them
 * objects, but in a folder of their own, so that no listing and no reader ever meets one.
 */
export class TemporaryFiles {
  private readonly folder: string;
  /** microseconds */
  private lastModified = 0;

  constructor(root: string) {
    this.folder = join(root, TEMPORARY_FOLDER);
  }

  /** Makes the folder and removes what earlier processes left in it. */
  async prepare(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    if (!(await lstat(this.folder)).isDirectory())
      throw new ServiceError(
        'storage_unavailable',
        `DATA_DIR/${TEMPORARY_FOLDER} must be a folder, not a symbolic link.`,
      );
    const oldest = Date.now() - LEFTOVER_MS;
    for (const name of await readdir(this.folder)) {
      const file = join(this.folder, name);
      try {
        if ((await lstat(file)).mtimeMs < oldest) await rm(file, { recursive: true });
      } catch (error) {
        if (!isAbsent(error)) throw error; // absent: its drafter finished meanwhile
      }
    }
  }

  /** Writes a new file down to the disk; resolves to its path. A failed write leaves none. */
  async write(body: Buffer): Promise<string> {
    await mkdir(this.folder, { recursive: true });
    const path = join(this.folder, randomUUID());
    try {
      const file = await open(path, 'wx');
      try {
        await file.writeFile(body);
        const modified = this.nextModified();
        await file.utimes(modified, modified);
        // Without this a power cut after the rename could leave the new name with no bytes.
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      await this.remove(path);
      throw error;
    }
    return path;
  }

  /** For the way out of a failure, whose error is the one to tell: a file that stays is removed at a later start. */
  async remove(path: string): Promise<void> {
    await rm(path, { force: true }).catch(() => undefined);
  }

  /**
   * Seconds, never the same twice. The kernel's file times tick in milliseconds and inode numbers are used
   * again at once, so two quick writes of equal length could otherwise end up with one ETag.
   */
  private nextModified(): number {
    this.lastModified = Math.max(Date.now() * 1000, this.lastModified + 1);
    return this.lastModified / 1_000_000;
  }
}
