import {
  drawnSize,
  REFERENCE_SIDE,
  samplingSteps,
  stepPixels,
  stepsOf,
  textPieces,
} from '@app/models/family';
import type { GenerateOptions, GenerateProgress } from './engine.protocol';

/**
 * What an engine process does, as far as it can be watched from outside; `step` is one sampling step. `upscaling`: pictures
 * are made larger by more than arithmetic, and before or after that decoded.
 */
export type WatchedPhase = 'starting' | 'loading' | 'warming' | PicturePhase;
type PicturePhase = 'text' | 'image' | 'step' | 'upscaling' | 'decoding';

/** Milliseconds: no bound is shorter, or a machine that stutters for a moment would cost an engine. */
const LEAST = 30_000;
/** Times the measured p99. */
const FACTOR = 10;
/** Newest measurements of a phase that are looked at. */
const SAMPLES = 200;

/** What the unmeasured bound is meant for: SDXL's own size in pixels, and two prompts as long as requests may have. */
const USUAL: Partial<Record<WatchedPhase, number>> = {
  ...{ text: 54, image: 1024 * 1024, step: 1024 * 1024, upscaling: 1024 * 1024, decoding: 1024 * 1024 },
};

/** Their work grows: with the picture's pixels, with the prompts, or with both. */
const PICTURE: ReadonlySet<WatchedPhase> = new Set(['text', 'image', 'step', 'upscaling', 'decoding']);
/** How many times longer a CPU may take: a step of full SDXL with a LoRA takes minutes on one that others use, too. */
const CPU_FACTOR = 6;

/**
 * How long an engine may be in a phase before it counts as hung: `unmeasured` before the phase was ever seen to end
 * (more on a CPU, for a picture of more than a megapixel, and for very long prompts), then max(30 s, 10 x the measured
 * p99), which for texts, sampling steps and decoding is that of a piece or pixel times their number.
 */
export class PhaseBounds {
  /** The engine draws on the CPU. */
  onCpu = false;
  private readonly samples = new Map<WatchedPhase, number[]>();

  /** @param unmeasured milliseconds, PHASE_TIMEOUT */
  constructor(private readonly unmeasured: number) {}

  /** A phase ended after this many milliseconds. `size`: the picture's pixels; see `sizeOf`. */
  note(phase: WatchedPhase, milliseconds: number, size: number): void {
    const samples = this.samples.get(phase) ?? [];
    samples.push(milliseconds / units(phase, size));
    if (samples.length > SAMPLES) samples.shift();
    this.samples.set(phase, samples);
  }

  /** Milliseconds. */
  of(phase: WatchedPhase, size: number): number {
    const samples = this.samples.get(phase);
    if (samples) return Math.max(LEAST, FACTOR * p99(samples) * units(phase, size));
    const patience = this.onCpu && PICTURE.has(phase) ? CPU_FACTOR : 1;
    return patience * this.unmeasured * Math.max(1, units(phase, size) / (USUAL[phase] ?? 1));
  }

  /**
   * A bound was too short, or the engine hangs. Loading is tried again for ever, so its next bound has to be one that a
   * slow disk can keep: files that were in the page cache when they were measured may not be any more.
   */
  exceeded(phase: WatchedPhase): void {
    if (phase === 'starting' || phase === 'loading' || phase === 'warming') this.samples.delete(phase);
  }
}

const units = (phase: WatchedPhase, size: number) => (PICTURE.has(phase) ? size : 1);

type Watched = Pick<GenerateProgress, 'phase' | 'step'>;

/** What an engine does from this progress on until the next. */
export function phaseFrom({ phase, step }: Watched, picture: GenerateOptions): PicturePhase {
  if (phase === 'decoding') return picture.upscaler === undefined ? 'decoding' : 'upscaling';
  if (phase !== 'sampling') return phase;
  return enlargesAt(step, picture) ? 'upscaling' : 'step';
}

/** Each picture is made larger just before its second sampling; latents are by arithmetic alone. */
function enlargesAt(step: number, picture: GenerateOptions): boolean {
  const { hires, count = 1 } = picture;
  if (!hires || hires.upscaler?.startsWith('Latent')) return false;
  const { first, second } = stepsOf(sampledOf(picture));
  return step >= first && step < first + second && (step - first) % (second / count) === 0;
}

/** What the phase of such a picture grows with, as PhaseBounds counts it. `step`: sampling steps done. */
export function sizeOf(phase: PicturePhase, picture: GenerateOptions, step = 0): number {
  const { prompt, negativePrompt = '', width, height, count = 1 } = picture;
  const pieces = textPieces(prompt, negativePrompt);
  const drawn = drawnSize(picture);
  switch (phase) {
    case 'text':
      return pieces;
    case 'image':
      return encodedPixels(picture);
    case 'step':
      return stepPixels(step < stepsOf(sampledOf(picture)).first ? width * height : pixels(drawn), pieces);
    case 'upscaling':
      return pixels(drawn) * (step < samplingSteps(sampledOf(picture)) ? 1 : count);
    // Pictures of a batch are decoded one after the other.
    case 'decoding':
      return pixels(drawn) * count;
  }
}

const pixels = ({ width, height }: { readonly width: number; readonly height: number }) => width * height;

const sampledOf = ({ steps, count, image, hires }: GenerateOptions) => ({
  ...{ steps, count, strength: image?.strength, hires },
});

/** Of all that is encoded: the reference picture, and the one to begin from, with a mask once more without what that hides. */
const encodedPixels = ({ width, height, reference, image, mask }: GenerateOptions) =>
  (reference || !image ? REFERENCE_SIDE ** 2 : 0) + (image ? width * height * (mask ? 2 : 1) : 0);

function p99(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1];
}
