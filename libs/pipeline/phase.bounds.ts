/** What an engine process does, as far as it can be watched from outside; `step` is one sampling step. */
export type WatchedPhase = 'starting' | 'loading' | 'warming' | 'text' | 'image' | 'step' | 'decoding';

/** Milliseconds: no bound is shorter, or a machine that stutters for a moment would cost an engine. */
const LEAST = 30_000;
/** Times the measured p99. */
const FACTOR = 10;
/** Newest measurements of a phase that are looked at. */
const SAMPLES = 200;

/** Work that grows with the picture; the prompt and the reference picture do not. */
const SCALED: ReadonlySet<WatchedPhase> = new Set(['step', 'decoding']);
/** Pixels that the unmeasured bound is meant for: SDXL's own size. */
const USUAL_PIXELS = 1024 * 1024;

/**
 * How long an engine may be in a phase before it counts as hung: `unmeasured` before the phase was ever seen to end
 * (more for a picture of more than a megapixel), then max(30 s, 10 x the measured p99), which for sampling steps and
 * decoding is that of a pixel times the pixels.
 */
export class PhaseBounds {
  private readonly samples = new Map<WatchedPhase, number[]>();

  /** @param unmeasured milliseconds, PHASE_TIMEOUT */
  constructor(private readonly unmeasured: number) {}

  /** A phase ended after this many milliseconds. */
  note(phase: WatchedPhase, milliseconds: number, pixels: number): void {
    const samples = this.samples.get(phase) ?? [];
    samples.push(milliseconds / units(phase, pixels));
    if (samples.length > SAMPLES) samples.shift();
    this.samples.set(phase, samples);
  }

  /** Milliseconds. */
  of(phase: WatchedPhase, pixels: number): number {
    const samples = this.samples.get(phase);
    if (!samples) return this.unmeasured * Math.max(1, units(phase, pixels) / USUAL_PIXELS);
    return Math.max(LEAST, FACTOR * p99(samples) * units(phase, pixels));
  }

  /**
   * A bound was too short, or the engine hangs. Loading is tried again for ever, so its next bound has to be one that a
   * slow disk can keep: files that were in the page cache when they were measured may not be any more.
   */
  exceeded(phase: WatchedPhase): void {
    if (phase === 'starting' || phase === 'loading' || phase === 'warming') this.samples.delete(phase);
  }
}

const units = (phase: WatchedPhase, pixels: number) => (SCALED.has(phase) ? pixels : 1);

function p99(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.ceil(0.99 * sorted.length) - 1];
}
