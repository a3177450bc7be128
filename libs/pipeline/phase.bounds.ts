import { REFERENCE_SIDE, stepPixels, textPieces } from '@app/models/family';
import type { GenerateOptions } from './engine.protocol';

/** What an engine process does, as far as it can be watched from outside; `step` is one sampling step. */
export type WatchedPhase = 'starting' | 'loading' | 'warming' | 'text' | 'image' | 'step' | 'decoding';

/** Milliseconds: no bound is shorter, or a machine that stutters for a moment would cost an engine. */
const LEAST = 30_000;
/** Times the measured p99. */
const FACTOR = 10;
/** Newest measurements of a phase that are looked at. */
const SAMPLES = 200;

/** Work that grows: with the picture's pixels, with the prompts, or with both. */
const SCALED: ReadonlySet<WatchedPhase> = new Set(['text', 'image', 'step', 'decoding']);
/** What the unmeasured bound is meant for: SDXL's own size in pixels, and two prompts as long as requests may have. */
const USUAL: Partial<Record<WatchedPhase, number>> = {
  ...{ text: 54, image: 1024 * 1024, step: 1024 * 1024, decoding: 1024 * 1024 },
};

const PICTURE: ReadonlySet<WatchedPhase> = new Set(['text', 'image', 'step', 'decoding']);
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

const units = (phase: WatchedPhase, size: number) => (SCALED.has(phase) ? size : 1);

/** What the phase of such a picture grows with, as PhaseBounds counts it. */
export function sizeOf(phase: WatchedPhase, picture: GenerateOptions): number {
  const { prompt, negativePrompt = '', width, height, count = 1 } = picture;
  const pieces = textPieces(prompt, negativePrompt);
  if (phase === 'text') return pieces;
  if (phase === 'image') return encodedPixels(picture);
  if (phase === 'step') return stepPixels(width * height, pieces);
  // Pictures of a batch are decoded one after the other.
  return width * height * (phase === 'decoding' ? count : 1);
}

/** Of all that is encoded: the reference picture, and the one to begin from, with a mask once more without what that hides. */
const encodedPixels = ({ width, height, reference, image, mask }: GenerateOptions) =>
  (reference || !image ? REFERENCE_SIDE ** 2 : 0) + (image ? width * height * (mask ? 2 : 1) : 0);

function p99(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1];
}
