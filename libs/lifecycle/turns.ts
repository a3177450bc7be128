import { Fifo } from './fifo';

/** So much at a time. Callers take turns, so that whoever brings a lot holds up himself; a caller's own go in order. */
export class Turns {
  /** Who waits, in the order of their turns; a caller may be here with nobody waiting. */
  private readonly lines = new Map<string, Fifo<void>>();

  constructor(private free: number) {}

  /** Rejects with `cancelled` when `signal` aborts before the turn came. */
  async run<T>(caller: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.free > 0) this.free--;
    else await this.line(caller).join(signal);
    try {
      return await work();
    } finally {
      this.putBehind(caller);
      this.serveNext();
    }
  }

  private line(caller: string): Fifo<void> {
    const line = this.lines.get(caller) ?? new Fifo<void>();
    this.lines.set(caller, line);
    return line;
  }

  private serveNext(): void {
    for (const [caller, line] of this.lines) {
      if (line.serve(() => undefined)) return this.putBehind(caller);
      this.lines.delete(caller);
    }
    this.free++;
  }

  private putBehind(caller: string): void {
    const line = this.lines.get(caller);
    if (!line) return;
    this.lines.delete(caller);
    this.lines.set(caller, line);
  }
}
