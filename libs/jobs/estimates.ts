import { Injectable } from '@nestjs/common';
import { stepPixels, textPieces } from '@app/models/family';
import type { JobRecord } from './job.record';
import { JobStore, type Work } from './job.store';
import { Capabilities } from './capabilities/capabilities';

/** When a job begins and ends, as far as is known. */
export interface Estimate {
  /** 1 is next; only of queued jobs. */
  readonly position?: number;
  /** Milliseconds since 1970. */
  readonly startAt?: number;
  readonly endAt?: number;
}

/** Newest pictures that are looked at; one slow moment is outvoted. */
const SAMPLES = 50;
/** Milliseconds for which an answer of the store is used again. */
const FRESH = 1_000;
/** Seconds for a Retry-After before the first picture was measured. */
const UNMEASURED = 30;

/** What a picture of one size took, in milliseconds. */
interface Measured {
  readonly width: number;
  readonly height: number;
  readonly reference: boolean;
  /** Encoding one of its prompts' pieces. */
  readonly piece: number;
  readonly pieces: number;
  /** Everything but the prompts and the sampling. */
  readonly fixed: number;
  /** A step of one pixel, see `stepPixels`. */
  readonly stepPixel: number;
  readonly all: number;
  readonly steps: number;
  /** A change of the merged LoRAs is in the times. */
  readonly mergedAnew: boolean;
}

type Size = Pick<Work, 'width' | 'height' | 'reference'>;

/** How long pictures take and callers wait, from the times of the newest pictures by size. Nothing is assumed. */
@Injectable()
export class Estimates {
  private samples: Promise<readonly Measured[]> = Promise.resolve([]);
  private running: Promise<readonly JobRecord[]> = Promise.resolve([]);
  private readAt = -Infinity;

  constructor(
    private readonly store: JobStore,
    private readonly capabilities: Capabilities,
  ) {}

  async of(job: JobRecord): Promise<Estimate> {
    const { picture } = job;
    const takes = await this.duration(toWork(job));
    const now = await this.store.now();
    if (job.state === 'running') {
      const startAt = job.startedAt ?? now;
      return { startAt, ...(takes !== undefined && { endAt: Math.max(startAt + takes, now) }) };
    }
    const ahead = job.state === 'queued' ? await this.store.ahead(picture.id) : undefined;
    if (!ahead) return {};
    const position = 1 + ahead.reduce((sum, { jobs }) => sum + jobs, 0);
    const wait = await this.wait(ahead);
    if (takes === undefined || wait === undefined) return { position };
    const startAt = now + wait;
    return { position, startAt, endAt: startAt + takes };
  }

  /** Seconds until the next running job ends, and with it a place in the queue comes free. */
  async untilPlace(): Promise<number> {
    const left = (await this.remaining()).filter((ms) => ms !== undefined);
    return left.length === 0 ? UNMEASURED : Math.max(1, Math.ceil(Math.min(...left) / 1000));
  }

  /** Milliseconds until all of `ahead` and what runs now is done, the engines sharing it. */
  private async wait(ahead: readonly Work[]): Promise<number | undefined> {
    const waiting = await Promise.all(ahead.map((work) => this.duration(work)));
    const times = [...waiting, ...(await this.remaining())];
    if (times.some((ms) => ms === undefined)) return undefined;
    return (times as number[]).reduce((sum, ms) => sum + ms, 0) / Math.max(1, this.capabilities.engines);
  }

  private async remaining(): Promise<(number | undefined)[]> {
    await this.refresh();
    const now = await this.store.now();
    return Promise.all(
      (await this.running).map(async (job) => {
        const takes = await this.duration(toWork(job));
        return takes && Math.max(0, (job.startedAt ?? 0) + takes - now);
      }),
    );
  }

  /** Milliseconds in the engine and to the storage; undefined before any picture was made. */
  private async duration(work: Work): Promise<number | undefined> {
    await this.refresh();
    const measured = nearest(await this.samples, work);
    if (measured.length === 0) return undefined;
    const usual = measured.filter(({ mergedAnew }) => !mergedAnew);
    const typical = usual.length > 0 ? usual : measured;
    // Work grows with the pixels; exact where this size was measured.
    const scale = (work.width * work.height) / (measured[0].width * measured[0].height);
    const takes = ({ width, height, jobs, steps, pieces }: Required<Omit<Work, 'reference'>>, scale = 1) =>
      pieces * median(typical.map((x) => x.piece)) +
      scale * jobs * median(typical.map((x) => x.fixed)) +
      steps * stepPixels(width * height, pieces / jobs) * median(typical.map((x) => x.stepPixel));
    // Which of the jobs will change the merged LoRAs is not known: as many as did, each for what that took beyond the rest.
    const changes = measured.filter(({ mergedAnew }) => mergedAnew);
    const more = changes.map((one) => Math.max(0, one.all - takes({ ...one, jobs: 1 })));
    const change = changes.length === 0 ? 0 : (changes.length / measured.length) * median(more);
    const pieces = work.pieces ?? work.jobs * median(typical.map((x) => x.pieces));
    return takes({ ...work, pieces }, scale) + work.jobs * change;
  }

  private async refresh(): Promise<void> {
    if (performance.now() - this.readAt > FRESH) {
      this.readAt = performance.now();
      this.samples = this.store
        .list({ state: 'succeeded', limit: SAMPLES })
        .then(({ jobs }) => jobs.flatMap(measure));
      this.running = this.store.list({ state: 'running', limit: 100 }).then(({ jobs }) => jobs);
      for (const read of [this.samples, this.running]) read.catch(() => (this.readAt = -Infinity));
    }
    await Promise.all([this.samples, this.running]);
  }
}

const toWork = ({ picture }: JobRecord): Required<Work> => ({
  width: picture.width,
  height: picture.height,
  reference: picture.referenceKey !== undefined,
  jobs: 1,
  steps: picture.steps,
  pieces: textPieces(picture.prompt, picture.negativePrompt),
});

function measure(job: JobRecord): Measured[] {
  const { result } = job;
  if (!result) return [];
  const { width, height, steps, reference, pieces } = toWork(job);
  const { text_ms, image_ms, sampling_ms, decode_ms, encode_ms, store_ms } = result.timings;
  const fixed = image_ms + decode_ms + encode_ms + store_ms;
  const stepPixel = sampling_ms / steps / stepPixels(width * height, pieces);
  const { mergedAnew = false } = result;
  const times = { piece: text_ms / pieces, fixed, stepPixel, all: text_ms + fixed + sampling_ms };
  return [{ width, height, reference, pieces, steps, mergedAnew, ...times }];
}

/** The samples of this size and kind; else those of the one whose pixels are nearest. */
function nearest(samples: readonly Measured[], wanted: Size): readonly Measured[] {
  const distance = (one: Measured) =>
    Math.abs(Math.log((one.width * one.height) / (wanted.width * wanted.height))) +
    (one.reference === wanted.reference ? 0 : 0.01);
  const least = Math.min(...samples.map(distance));
  return samples.filter((one) => distance(one) === least);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
