import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Parts that this process is writing now. */
const inUse = new Set<string>();
let counter = 0;

/** A part on a shared disk whose writer may be another machine counts as left behind after this long unchanged. */
const STALE_MS = 10 * 60_000;

/**
 * A file while it comes into being: `NAME.HOST.PID.N.part` beside its place. Each process writes a part of its own,
 * so two that fetch the same file at once never touch each other's bytes, and the rename at the end is atomic: at
 * worst the work is done twice. No lock means no lock left behind by a crash.
 */
export class PartFile {
  private constructor(
    readonly target: string,
    readonly path: string,
  ) {}

  /** Takes over the largest part that a dead process left for `target`, or starts an empty one. */
  static async claim(target: string): Promise<PartFile> {
    await mkdir(dirname(target), { recursive: true });
    const path = `${target}.${hostname()}.${process.pid}.${counter++}.part`;
    inUse.add(path);
    for (const orphan of await leftBehind(target)) {
      try {
        // Of two processes that want the same part, one rename wins; the loser gets ENOENT and looks further.
        await rename(orphan.path, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return new PartFile(target, path);
  }

  /** Bytes that a dead process left for `target`, and `claim` would take over. */
  static async left(target: string): Promise<number> {
    const [largest] = await leftBehind(target);
    return largest?.size ?? 0;
  }

  /** Bytes on disk. */
  async size(): Promise<number> {
    try {
      return (await stat(this.path)).size;
    } catch {
      return 0;
    }
  }

  /** Appends, or starts over from byte 0. */
  async open(how: 'append' | 'truncate'): Promise<FileHandle> {
    return open(this.path, how === 'append' ? 'a' : 'w');
  }

  /** Gives the finished bytes their name. The disk has them before the name exists: a power cut leaves no half file. */
  async commit(): Promise<void> {
    const file = await open(this.path, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(this.path, this.target);
    inUse.delete(this.path);
    for (const { path } of await leftBehind(this.target)) await rm(path, { force: true });
  }

  /** Keeps the bytes for a later claim to go on with. */
  release(): void {
    inUse.delete(this.path);
  }

  async discard(): Promise<void> {
    await rm(this.path, { force: true });
    inUse.delete(this.path);
  }
}

/** Parts of `target` that nobody writes any more, the largest first. */
async function leftBehind(target: string): Promise<{ path: string; size: number }[]> {
  const folder = dirname(target);
  const names = (await readdir(folder).catch(noFolder)).filter(
    (name) => name.startsWith(`${basename(target)}.`) && name.endsWith('.part'),
  );
  const parts = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const info = await stat(path).catch(() => undefined);
      return info && !isWritten(path, info.mtimeMs) ? { path, size: info.size } : undefined;
    }),
  );
  return parts.filter((part) => part !== undefined).sort((a, b) => b.size - a.size);
}

function noFolder(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

function isWritten(path: string, mtimeMs: number): boolean {
  if (inUse.has(path)) return true;
  const [, name, pid] = /^(.*)\.(\d+)\.\d+\.part$/.exec(path) ?? [];
  // Another machine's processes cannot be asked whether they live.
  if (!name?.endsWith(`.${hostname()}`)) return Date.now() - mtimeMs < STALE_MS;
  return Number(pid) !== process.pid && isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
