import { Logger } from '@nestjs/common';
import { Format, MultiBar, type SingleBar } from 'cli-progress';

/** How far getting a file is. A start can take many of these before the HTTP server has anything else to say. */
export interface ModelProgress {
  /** `load`: the engine reads it; done and total are percent then. */
  readonly phase: 'download' | 'verify' | 'unpack' | 'load';
  /** The file as the operator knows it. */
  readonly file: string;
  /** bytes */
  readonly done: number;
  /** bytes */
  readonly total: number;
  /** The whole download that this file is a part of. */
  readonly all?: WholeDownload;
}

export interface WholeDownload {
  /** Which file it is, from 1 on. */
  readonly file: number;
  readonly files: number;
  /** bytes of all files */
  readonly done: number;
  /** bytes of all files */
  readonly total: number;
  /** Since the first byte of this run; undefined until that can be told. */
  readonly bytesPerSecond?: number;
}

export type OnProgress = (progress: ModelProgress) => void;

const VERBS = { download: 'Downloading', verify: 'Verifying', unpack: 'Unpacking', load: 'Loading' } as const;
const LINE_EVERY_MS = 10_000;

/** 0..100, whole; of the whole download where the file is one of several. Nothing to do is done. */
export const percent = ({ done, total, all }: ModelProgress): number => share(all ?? { done, total });

const share = ({ done, total }: { readonly done: number; readonly total: number }): number =>
  total > 0 ? Math.min(100, Math.floor((100 * done) / total)) : 100;

/** "Downloading sd_xl_base_1.0.safetensors: 41 % (2.8 of 6.9 GB); file 4 of 4, 6.4 of 10.5 GB, 3 min left at 24.0 MB/s" */
export function progressLine(progress: ModelProgress): string {
  const { phase, file, all } = progress;
  const line = `${VERBS[phase]} ${file}: ${share(progress)} % (${amount(progress)})`;
  const whole = all && all.files > 1 ? [`file ${all.file} of ${all.files}`, amount(all)] : [];
  const left = all && timeLeft(all);
  const more = [...whole, ...(left ? [left] : [])].join(', ');
  return more ? `${line}; ${more}` : line;
}

function amount({ done, total }: { readonly done: number; readonly total: number }): string {
  const [unit, name] = total >= 1e9 ? [1e9, 'GB'] : [1e6, 'MB'];
  return `${(done / unit).toFixed(1)} of ${(total / unit).toFixed(1)} ${name}`;
}

/** "3 min left at 24.0 MB/s"; nothing where all is there, or no speed known. */
function timeLeft({ done, total, bytesPerSecond }: WholeDownload): string | undefined {
  if (bytesPerSecond === undefined || done >= total) return undefined;
  return `${duration((total - done) / bytesPerSecond)} left at ${toMB(bytesPerSecond).toFixed(1)} MB/s`;
}

/** "40 s", "12 min", "1 h 5 min" */
function duration(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const BAR = {
  format: '{title} [{bar}] {percentage} %{amount}{left}',
  formatBar: Format.BarFormat,
  barsize: 16, // with a long name it still fits 80 columns
  hideCursor: true,
  forceRedraw: true, // a line of the log may have taken its place
  gracefulExit: false, // Ctrl-C belongs to the service's own shutdown
};

/**
 * Shows progress on a terminal as a bar; in any other log as a line at the start and the end of each file and at most
 * every ten seconds between. `stop()` when a piece of work is done, or the terminal's cursor stays hidden.
 */
export class TerminalProgress {
  private bars?: MultiBar;
  private bar?: SingleBar;
  private current = '';
  private lastLine = 0;
  private closed = false;
  private readonly logger = new Logger('Model');

  constructor(
    /** Whether bars are wanted; lines have a level of their own. */
    private readonly shown = true,
    private readonly stream: NodeJS.WriteStream = process.stdout,
    private readonly now: () => number = Date.now,
  ) {}

  readonly report: OnProgress = (progress) => {
    if (this.closed) return;
    const title = `${VERBS[progress.phase]} ${progress.file}`;
    const fresh = title !== this.current;
    this.current = title;
    if (!this.stream.isTTY) this.print(progress, fresh);
    else if (this.shown) this.draw(progress, title, fresh);
  };

  stop(): void {
    this.bars?.stop();
    this.bars = this.bar = undefined;
    this.current = '';
  }

  /** Stops for good: nothing that is still on its way is shown. */
  close(): void {
    this.closed = true;
    this.stop();
  }

  private draw(progress: ModelProgress, title: string, fresh: boolean): void {
    const { phase, done, total, all } = progress;
    const inPercent = phase === 'load';
    const left = all && timeLeft(all);
    const payload = {
      title,
      amount: inPercent ? '' : ` | ${toMB(done)} of ${toMB(total)} MB`,
      left: left ? ` | ${left}` : '',
    };
    if (fresh) {
      this.bars?.stop();
      this.bars = new MultiBar({ ...BAR, stream: this.stream });
      this.bar = this.bars.create(total, done, payload);
    }
    this.bar?.update(done, payload);
  }

  /** Loading is reported at its end, and by readiness meanwhile. */
  private print(progress: ModelProgress, fresh: boolean): void {
    if (progress.phase === 'load') return;
    const finished = progress.done >= progress.total;
    if (!fresh && !finished && this.now() - this.lastLine < LINE_EVERY_MS) return;
    this.lastLine = this.now();
    this.logger.log(progressLine(progress));
  }
}

const toMB = (bytes: number) => Math.round(bytes / 1e5) / 10;
