import { ServiceError } from '@app/errors';

/** Times that those who are preferred may go before somebody who waits longer. */
const MOST_PASSED = 4;

interface Waiter<Thing, Wish> {
  readonly wish?: Wish;
  passed: number;
  serve(thing: Thing): void;
  dismiss(error: ServiceError): void;
}

/** First come, first served, of those whose wish is met. Nothing here outlives the process: the durable, fair queue stands before it. */
export class Fifo<Thing, Wish = never> {
  private readonly waiters = new Set<Waiter<Thing, Wish>>();

  get length(): number {
    return this.waiters.size;
  }

  /** Resolves to what `serve` hands over. Rejects with `cancelled` once aborted; served, an abort changes nothing. */
  join(signal?: AbortSignal, wish?: Wish): Promise<Thing> {
    return new Promise((resolve, reject) => {
      const cancel = () =>
        waiter.dismiss(new ServiceError('cancelled', 'The request was cancelled while it waited.'));
      const leave = () => {
        this.waiters.delete(waiter);
        signal?.removeEventListener('abort', cancel);
      };
      const waiter: Waiter<Thing, Wish> = {
        wish,
        passed: 0,
        serve: (thing) => {
          leave();
          resolve(thing);
        },
        dismiss: (error) => {
          leave();
          reject(error);
        },
      };
      if (signal?.aborted) return cancel();
      signal?.addEventListener('abort', cancel);
      this.waiters.add(waiter);
    });
  }

  /**
   * Hands what `give` returns to whoever waits longest of those whose wish is met; false when nobody is there. Who is
   * preferred goes first, until somebody has been passed a few times.
   */
  serve(
    give: () => Thing,
    meets: (wish?: Wish) => boolean = () => true,
    prefers: (wish?: Wish) => boolean = () => false,
  ): boolean {
    const able = [...this.waiters].filter(({ wish }) => meets(wish));
    const preferred = able.findIndex(({ wish }) => prefers(wish));
    const before = able.slice(0, Math.max(0, preferred));
    const passes = before.every(({ passed }) => passed < MOST_PASSED);
    const next = able.at(passes ? Math.max(0, preferred) : 0);
    if (passes) for (const waiter of before) waiter.passed++;
    next?.serve(give());
    return next !== undefined;
  }

  some(holds: (wish?: Wish) => boolean): boolean {
    return [...this.waiters].some(({ wish }) => holds(wish));
  }

  /** Who waits for this leaves with the error that `refuse` returns. */
  dismiss(refuse: (wish?: Wish) => ServiceError | undefined): void {
    for (const waiter of [...this.waiters]) {
      const error = refuse(waiter.wish);
      if (error) waiter.dismiss(error);
    }
  }
}
