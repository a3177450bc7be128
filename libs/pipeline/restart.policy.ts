/** Between attempts to bring up an engine: 1 s, doubled up to a minute, and up to a quarter more by chance. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
/** Engines of several machines that died together do not come back together. */
const JITTER = 0.25;
/** Deaths in a row before a first step that open the breaker. */
const BREAKER = 3;

/**
 * When the next engine process starts, and whether it must prove itself first. A death after a finished step is bad
 * luck: the next process starts at once. Failures without any are counted, and every one waits longer than the last. Of
 * those only deaths open the breaker (a model that does not load says so by itself): then jobs wait, or they would die
 * with one engine after the other, until a process has drawn a probe picture.
 */
export class RestartPolicy {
  private failures = 0;
  private earlyDeaths = 0;

  /** @param random 0..1 */
  constructor(private readonly random: () => number = Math.random) {}

  /** The process finished a step: engine, model and device work. */
  stepped(): void {
    this.failures = 0;
    this.earlyDeaths = 0;
  }

  /** It died; before or without a finished step unless `stepped` was called. Milliseconds until the next one starts. */
  died(stepped: boolean): number {
    if (stepped) {
      this.stepped();
      return 0;
    }
    this.earlyDeaths++;
    // One early death is bad luck too.
    return this.failures++ === 0 ? 0 : this.pause(this.failures - 2);
  }

  /** It lives, or lived, but could not load the model. Milliseconds until the next attempt. */
  failed(): number {
    return this.pause(this.failures++);
  }

  /** Deaths in a row before a first step, while they are enough to keep jobs away. */
  get open(): number | undefined {
    return this.earlyDeaths >= BREAKER ? this.earlyDeaths : undefined;
  }

  private pause(doublings: number): number {
    const pause = Math.min(FIRST_PAUSE * 2 ** Math.min(doublings, 16), LONGEST_PAUSE);
    return Math.round(pause * (1 + JITTER * this.random()));
  }
}
