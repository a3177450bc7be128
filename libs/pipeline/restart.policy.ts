import { halved, SMALLEST, smallerOf, type PictureKind } from './probe.picture';

/** Between attempts to bring up an engine: 1 s, doubled up to a minute, and up to a quarter more by chance. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
/** Engines of several machines that died together do not come back together. */
const JITTER = 0.25;
/** Deaths in a row that open the breaker. */
const BREAKER = 3;

/**
 * When the next engine process starts, and whether it must prove itself first. One death is bad luck: the next process
 * starts at once. Several without a caller's picture that was finished between them are not, and every one waits longer
 * than the last; an engine may warm up and step, and yet die in every picture, so nothing less begins the count anew. Of
 * failures only deaths open the breaker (a model that does not load says so by itself): then jobs wait, or they would die
 * with one engine after the other, until a process has drawn a probe picture.
 */
export class RestartPolicy {
  private failures = 0;
  private inARow = 0;
  /** The smallest under which it died: a size that is too much for a device must not keep it from those that are not. */
  private killer?: PictureKind;
  /** How often and why a process ended, or did not come up, since the service started. */
  readonly exits = { died: 0, out_of_memory: 0, failed: 0 };

  /** @param random 0..1 */
  constructor(private readonly random: () => number = Math.random) {}

  /** A caller's picture was finished: engine, model and device work. */
  drew(): void {
    this.inARow = 0;
    this.killer = undefined;
  }

  /** The model was loaded, and the probe picture drawn where one was wanted. Callers' pictures show whether that was enough. */
  loaded(): void {
    this.failures = 0;
    if (this.open) this.killer = undefined;
  }

  /** It died, under a picture or without one. Milliseconds until the next one starts. */
  died(picture?: PictureKind): number {
    this.exits.died++;
    if (picture) this.killer = smallerOf(picture, this.killer ?? picture);
    return this.inARow++ === 0 ? 0 : this.pause(this.inARow - 2);
  }

  /** It died of a caller's picture that is too large for the device, which says nothing of others. Milliseconds as above. */
  outgrown(): number {
    this.exits.out_of_memory++;
    return 0;
  }

  /** It lives, or lived, but could not load the model. Milliseconds until the next attempt. */
  failed(): number {
    this.exits.failed++;
    return this.pause(this.failures++);
  }

  /** The probe picture was not drawn: the next one is smaller, or one size that kills would be the end of all others. */
  probeFailed(): void {
    this.killer = halved(this.killer ?? SMALLEST);
  }

  /** Deaths since a caller's picture was finished. */
  get deaths(): number {
    return this.inARow;
  }

  /** They are enough to keep jobs away. */
  get open(): boolean {
    return this.inARow >= BREAKER;
  }

  /** What the next process draws before it gets jobs; undefined: nothing. */
  get probe(): PictureKind | undefined {
    return this.open ? (this.killer ?? SMALLEST) : undefined;
  }

  private pause(doublings: number): number {
    const pause = Math.min(FIRST_PAUSE * 2 ** Math.min(doublings, 16), LONGEST_PAUSE);
    return Math.round(pause * (1 + JITTER * this.random()));
  }
}
