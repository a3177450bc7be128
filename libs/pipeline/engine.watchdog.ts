import type { PhaseBounds, WatchedPhase } from './phase.bounds';

/** Milliseconds between two signs of life of an engine process, which its JS thread sends. */
export const HEARTBEAT = 1_000;
/** Heartbeats in a row that may be missing. */
const MISSED = 10;

/**
 * Notices that an engine process hangs: it is too long in one phase, or its JS thread says nothing. It hears of everything
 * that comes from the process, and calls `onHung` once, with the reason.
 */
export class EngineWatchdog {
  private beats?: NodeJS.Timeout;
  private silent = 0;
  private current?: { readonly phase: WatchedPhase; readonly size: number; readonly since: number };
  private bound?: NodeJS.Timeout;

  constructor(
    private readonly bounds: PhaseBounds,
    private readonly onHung: (why: string) => void,
  ) {}

  /** The first heartbeat came: from now on others have to follow. Before it the process loads libraries. */
  expectHeartbeats(): void {
    // Ticks are counted, not time: a service that was itself stopped for a minute has missed one, not sixty.
    this.beats ??= setInterval(() => {
      if (++this.silent > MISSED) this.hung(`it gave no sign of life for ${(MISSED * HEARTBEAT) / 1000} s`);
    }, HEARTBEAT).unref();
  }

  /** Anything came. */
  heard(): void {
    this.silent = 0;
  }

  /**
   * A phase begins, or makes visible progress and gets its time again; the one before it is over, and measured.
   * @param more milliseconds on top of its bound
   */
  enter(phase: WatchedPhase, size = 1, more = 0): void {
    if (this.current?.phase !== phase || phase === 'step') {
      this.leave();
      this.current = { phase, size, since: performance.now() };
    }
    clearTimeout(this.bound);
    const bound = this.bounds.of(phase, size) + more;
    // Longer than a timer can be is as good as no bound.
    this.bound = setTimeout(() => this.exceeded(phase, bound), Math.min(bound, 2 ** 31 - 1)).unref();
  }

  /** Nothing is asked of it: only its heartbeats count. `completed: false`: the phase was broken off, and measures nothing. */
  rest(completed = true): void {
    this.leave(completed);
  }

  /** The process is gone. */
  stop(): void {
    this.leave(false);
    clearInterval(this.beats);
  }

  private leave(completed = true): void {
    clearTimeout(this.bound);
    const { current } = this;
    this.current = undefined;
    if (!current || !completed) return;
    this.bounds.note(current.phase, performance.now() - current.since, current.size);
  }

  private exceeded(phase: WatchedPhase, bound: number): void {
    this.bounds.exceeded(phase);
    this.hung(`it was in the phase "${phase}" for more than ${Math.round(bound / 1000)} s`);
  }

  private hung(why: string): void {
    this.stop();
    this.onHung(why);
  }
}
