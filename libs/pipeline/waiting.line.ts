import { ServiceError } from '@app/errors';

interface Waiter<Thing> {
  serve(thing: Thing): void;
  dismiss(error: ServiceError): void;
}

/** First come, first served. Nothing here outlives the process: the durable, fair queue stands before it. */
export class WaitingLine<Thing> {
  private readonly waiters = new Set<Waiter<Thing>>();

  get length(): number {
    return this.waiters.size;
  }

  /** Resolves to what `serve` hands over. Rejects with `cancelled` once aborted; served, an abort changes nothing. */
  join(signal?: AbortSignal): Promise<Thing> {
    return new Promise((resolve, reject) => {
      const cancel = () =>
        waiter.dismiss(new ServiceError('cancelled', 'The request was cancelled while it waited.'));
      const leave = () => {
        this.waiters.delete(waiter);
        signal?.removeEventListener('abort', cancel);
      };
      const waiter: Waiter<Thing> = {
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

  /** To whoever waits longest; false when nobody waits. */
  serve(thing: Thing): boolean {
    const [first] = this.waiters;
    first?.serve(thing);
    return first !== undefined;
  }

  /** Everyone leaves with this error. */
  dismiss(error: ServiceError): void {
    for (const waiter of [...this.waiters]) waiter.dismiss(error);
  }
}
