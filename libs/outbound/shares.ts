interface Waiter {
  readonly path: readonly string[];
  readonly urgent: boolean;
  admit(): void;
}

/** Those of one caller that may wait: each keeps a request or a message in memory. */
const MOST_WAITING = 100;

/**
 * Places for work of which nobody knows how long it takes, shared by callers. Who comes alone may take half of them, and
 * with others no more than are still free, so that the next caller finds one at once (Choudhury and Hahne: "Dynamic
 * Queue Length Thresholds", 1998). A caller's half is shared in the same way by what its `path` names next: users, hosts.
 */
export class Shares {
  private readonly held = new Map<string, number>();
  private readonly waiting: Waiter[] = [];

  constructor(
    private readonly places: number,
    /** Most milliseconds that anybody waits for a place. */
    public patience: number,
  ) {}

  /**
   * Runs `work` in a place of `path`, whose first name is the caller. Of those that wait for one, urgent ones go first.
   * Rejects with NoPlaceError when none was free in time, and with the reason of `signal`.
   */
  async run<T>(
    path: readonly string[],
    signal: AbortSignal,
    work: () => Promise<T>,
    urgent = false,
  ): Promise<T> {
    await this.take(path, signal, urgent);
    try {
      return await work();
    } finally {
      this.count(path, -1);
      for (const waiter of [...this.waiting]) if (this.fits(waiter.path)) waiter.admit();
    }
  }

  private async take(path: readonly string[], signal: AbortSignal, urgent: boolean): Promise<void> {
    signal.throwIfAborted();
    if (this.fits(path)) return this.count(path, 1);
    if (this.waiting.filter((waiter) => waiter.path[0] === path[0]).length >= MOST_WAITING) {
      throw new NoPlaceError();
    }
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        this.waiting.splice(this.waiting.indexOf(waiter), 1);
      };
      const admit = () => {
        leave();
        this.count(path, 1);
        resolve();
      };
      const abort = () => {
        leave();
        reject(signal.reason as Error);
      };
      const waiter = { path, urgent, admit };
      const timer = setTimeout(() => {
        leave();
        reject(new NoPlaceError());
      }, this.patience).unref();
      signal.addEventListener('abort', abort);
      const behind = urgent ? this.waiting.findIndex((other) => !other.urgent) : -1;
      this.waiting.splice(behind < 0 ? this.waiting.length : behind, 0, waiter);
    });
  }

  private fits(path: readonly string[]): boolean {
    let size = this.places;
    let held = this.of([]);
    return path.every((_, level) => {
      const half = Math.max(1, Math.floor(size / 2));
      const own = this.of(path.slice(0, level + 1));
      const fits = own < Math.min(half, size - held);
      [size, held] = [half, own];
      return fits;
    });
  }

  private of(path: readonly string[]): number {
    return this.held.get(JSON.stringify(path)) ?? 0;
  }

  /** Each place counts for all that it is within. */
  private count(path: readonly string[], change: 1 | -1): void {
    for (let level = 0; level <= path.length; level++) {
      const part = path.slice(0, level);
      const held = this.of(part) + change;
      if (held > 0) this.held.set(JSON.stringify(part), held);
      else this.held.delete(JSON.stringify(part));
    }
  }
}

export class NoPlaceError extends Error {
  override readonly name = NoPlaceError.name;

  constructor() {
    super('as many of this caller are on their way as may be');
  }
}
