import { mkdir, statfs } from 'node:fs/promises';
import type { HubFile } from './hub.client';
import { ModelError } from './model.error';
import type { OnProgress } from './model.progress';
import { PartFile } from './part.file';

interface Wanted {
  readonly size: number;
  /** Bytes on disk. */
  done: number;
}

/** The files that a start has to download, as one amount: the room that they need, how far they are, the time left. */
export class HubDownloads {
  /** By the path of the blob, in the order in which they are fetched. */
  private readonly wanted = new Map<string, Wanted>();
  /** Since the first byte of this run. */
  private since?: { readonly moment: number; readonly done: number };

  constructor(
    /** HF_HOME */
    private readonly home: string,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async add(file: HubFile, blob: string): Promise<void> {
    if (!this.wanted.has(blob)) {
      this.wanted.set(blob, { size: file.size, done: Math.min(await PartFile.left(blob), file.size) });
    }
  }

  /** Reported before the first byte of the first file, not after the last that fits. */
  async expectRoom(): Promise<void> {
    await mkdir(this.home, { recursive: true });
    const { bavail, bsize } = await statfs(this.home);
    const [free, needed] = [bavail * bsize, this.total - this.done];
    if (needed <= free) return;
    const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
    throw new ModelError(
      `The download needs ${gigabytes(needed)} and the disk of HF_HOME's folder has ${gigabytes(free)} free: ` +
        'free some space, or set HF_HOME to a folder on a larger disk.',
    );
  }

  /** Adds to the progress of one file what it means for all. */
  follow(blob: string, onProgress: OnProgress): OnProgress {
    return (progress) => {
      const wanted = this.wanted.get(blob);
      if (!wanted || progress.phase !== 'download') return onProgress(progress);
      // A new connection starts at what is on disk, so the first piece only sets the clock.
      wanted.done = progress.done;
      const { done, total } = this;
      this.since ??= { moment: this.now(), done };
      const file = [...this.wanted.keys()].indexOf(blob) + 1;
      onProgress({
        ...progress,
        all: { file, files: this.wanted.size, done, total, bytesPerSecond: this.bytesPerSecond() },
      });
    };
  }

  private get done(): number {
    return this.sum(({ done }) => done);
  }

  private get total(): number {
    return this.sum(({ size }) => size);
  }

  private sum(amount: (wanted: Wanted) => number): number {
    return [...this.wanted.values()].reduce((sum, wanted) => sum + amount(wanted), 0);
  }

  private bytesPerSecond(): number | undefined {
    const { done, since } = this;
    const seconds = since ? (this.now() - since.moment) / 1000 : 0;
    return seconds > 1 && since && done > since.done ? (done - since.done) / seconds : undefined;
  }
}
