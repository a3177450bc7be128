import { stepPixels, textPieces } from '@app/models/family';
import type { JobRecord } from './job.record';
import type { QueuedJob } from './job.store';
import { workOf, type PictureResult } from './picture.job';

/** What a picture of one size took, in milliseconds. */
interface Measured {
  readonly width: number;
  readonly height: number;
  readonly reference: boolean;
  /** Encoding one of its prompts' pieces. */
  readonly piece: number;
  readonly pieces: number;
  /** Everything but the prompts and the sampling, of each picture. */
  readonly fixed: number;
  /** A step of one pixel, see `stepPixels`. */
  readonly stepPixel: number;
  readonly all: number;
  readonly steps: number;
  readonly count: number;
  /** A change of the merged LoRAs is in the times. */
  readonly mergedAnew: boolean;
}

type Size = Pick<QueuedJob, 'width' | 'height' | 'reference'>;

export interface Work extends Size {
  /** Of all pictures together. */
  readonly steps: number;
  readonly count: number;
  /** Of the prompts (`textPieces`); undefined: as many as is usual. */
  readonly pieces?: number;
}

/** How long pictures take, by those that were made. Nothing is assumed. */
export class Durations {
  private readonly samples: readonly Measured[];
  /** By kind of work: of a thousand jobs there are a few. */
  private readonly known = new Map<string, number | undefined>();

  constructor(made: readonly JobRecord[]) {
    this.samples = made.flatMap(measure);
  }

  /** Milliseconds in the engine and to the storage; undefined before any picture was made. */
  of(work: Work): number | undefined {
    const { width, height, reference, steps, count, pieces } = work;
    const kind = [width, height, reference, steps, count, pieces].join();
    if (!this.known.has(kind)) this.known.set(kind, this.estimate(work));
    return this.known.get(kind);
  }

  private estimate(work: Work): number | undefined {
    const measured = nearest(this.samples, work);
    if (measured.length === 0) return undefined;
    const usual = measured.filter(({ mergedAnew }) => !mergedAnew);
    const typical = usual.length > 0 ? usual : measured;
    // Work grows with the pixels; exact where this size was measured.
    const scale = (work.width * work.height) / (measured[0].width * measured[0].height);
    const takes = ({ width, height, steps, count, pieces }: Required<Omit<Work, 'reference'>>, scale = 1) =>
      pieces * median(typical.map((x) => x.piece)) +
      count * scale * median(typical.map((x) => x.fixed)) +
      steps * stepPixels(width * height, pieces) * median(typical.map((x) => x.stepPixel));
    // Which of the jobs will change the merged LoRAs is not known: as many as did, each for what that took beyond the rest.
    const changes = measured.filter(({ mergedAnew }) => mergedAnew);
    const more = changes.map((one) => Math.max(0, one.all - takes(one)));
    const change = changes.length === 0 ? 0 : (changes.length / measured.length) * median(more);
    const pieces = work.pieces ?? median(typical.map((x) => x.pieces));
    return takes({ ...work, pieces }, scale) + change;
  }
}

export const toWork = ({ picture }: JobRecord, result?: PictureResult): Required<Work> => ({
  ...workOf(picture, result && { ...result, tries: result.tries ?? 1 }),
  pieces: textPieces(picture.prompt, picture.negativePrompt),
});

function measure(job: JobRecord): Measured[] {
  const { result } = job;
  if (!result) return [];
  const { width, height, steps, count, reference, pieces } = toWork(job, result);
  const { text_ms, image_ms, sampling_ms, decode_ms, encode_ms, store_ms, faces_ms = 0 } = result.timings;
  const rest = image_ms + decode_ms + faces_ms + encode_ms + store_ms;
  const stepPixel = sampling_ms / steps / stepPixels(width * height, pieces);
  const { mergedAnew = false } = result;
  const all = text_ms + rest + sampling_ms;
  const times = { piece: text_ms / pieces / (result.tries ?? 1), fixed: rest / count, stepPixel, all };
  return [{ width, height, reference, pieces, steps, count, mergedAnew, ...times }];
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
