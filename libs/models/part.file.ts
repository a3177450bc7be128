import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ifThere } from './absent';

/** Parts that this process is writing now. */
const inUse = new Set<string>();
let counter = 0;

/** Milliseconds after which a part that nobody touched is left behind, whoever wrote it. */
const STALE_MS = 10 * 60_000;
/** Milliseconds for which a part of another machine, or container, is watched before it counts as left behind. */
const SILENCE_MS = 30_000;
/** A writer touches its part this many times in a silence, also while no bytes come. */
const SIGNS = 6;

interface Found {
  readonly path: string;
  readonly size: number;
  /** `elsewhere`: a process that cannot be asked whether it lives. */
  readonly writer: 'alive' | 'gone' | 'elsewhere';
}

/**
 * A file while it comes into being: `NAME.HOST.PID.N.part` beside its place. Each process writes a part of its own,
 * so two that fetch the same file at once never touch each other's bytes, and the rename at the end is atomic: at
 * worst the work is done twice. No lock means no lock left behind by a crash.
 */
export class PartFile {
  private readonly signs: NodeJS.Timeout;

  private constructor(
    readonly target: string,
    readonly path: string,
    silence: number,
  ) {
    const sign = () => void utimes(path, new Date(), new Date()).catch(() => undefined); // nothing is written yet
    this.signs = setInterval(sign, silence / SIGNS).unref();
    inUse.add(path);
  }

  /** Takes over the largest part that a dead process left for `target`, or starts an empty one. */
  static async claim(target: string, silence = SILENCE_MS): Promise<PartFile> {
    await mkdir(dirname(target), { recursive: true });
    const found = await parts(target);
    const gone = found.filter(({ writer }) => writer === 'gone');
    // A container that was killed comes back under another name, and must not fetch all again.
    const orphans = gone.length > 0 ? gone : await silent(found.filter(isElsewhere), silence);
    const path = `${target}.${hostname()}.${process.pid}.${counter++}.part`;
    const part = new PartFile(target, path, silence);
    for (const orphan of orphans) {
      try {
        // Of two processes that want the same part, one rename wins; the loser gets ENOENT and looks further.
        await rename(orphan.path, path);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        part.release();
        throw error;
      }
    }
    return part;
  }

  /** Bytes that a process left for `target`, as far as can be seen at once, and `claim` would take over. */
  static async left(target: string): Promise<number> {
    const [largest] = (await parts(target)).filter(({ writer }) => writer !== 'alive');
    return largest?.size ?? 0;
  }

  /** Bytes on disk. */
  async size(): Promise<number> {
    return (await ifThere(stat(this.path)))?.size ?? 0;
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
    this.release();
    const gone = (await parts(this.target)).filter(({ writer }) => writer === 'gone');
    for (const { path } of gone) await rm(path, { force: true });
  }

  /** Keeps the bytes for a later claim to continue. */
  release(): void {
    clearInterval(this.signs);
    inUse.delete(this.path);
  }

  /** Starts over. */
  async discard(): Promise<void> {
    await rm(this.path, { force: true });
  }
}

/** Parts of `target`, the largest first. */
async function parts(target: string): Promise<Found[]> {
  const folder = dirname(target);
  const names = (await readdir(folder).catch(noFolder)).filter(
    (name) => name.startsWith(`${basename(target)}.`) && name.endsWith('.part'),
  );
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const info = await stat(path).catch(() => undefined);
      return info && { path, size: info.size, writer: writerOf(path, info.mtimeMs) };
    }),
  );
  return found.filter((part) => part !== undefined).sort((a, b) => b.size - a.size);
}

/** Those that nobody touched meanwhile. No clock is compared with another machine's. */
async function silent(found: readonly Found[], milliseconds: number): Promise<Found[]> {
  if (found.length === 0) return [];
  const before = await Promise.all(found.map(lastSign));
  await pause(milliseconds);
  const after = await Promise.all(found.map(lastSign));
  return found.filter((_, i) => before[i] !== undefined && before[i] === after[i]);
}

/** Of an open file: what a network's disk says of a path may be a minute old. */
async function lastSign({ path }: Found): Promise<number | undefined> {
  const file = await open(path, 'r').catch(() => undefined);
  try {
    return (await file?.stat())?.mtimeMs;
  } finally {
    await file?.close();
  }
}

function noFolder(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

function writerOf(path: string, mtimeMs: number): Found['writer'] {
  if (inUse.has(path)) return 'alive';
  const [, name, pid] = /^(.*)\.(\d+)\.\d+\.part$/.exec(path) ?? [];
  if (!name?.endsWith(`.${hostname()}`)) return Date.now() - mtimeMs < STALE_MS ? 'elsewhere' : 'gone';
  return Number(pid) !== process.pid && isAlive(Number(pid)) ? 'alive' : 'gone';
}

const isElsewhere = ({ writer }: Found) => writer === 'elsewhere';

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
