import { ServiceError } from '@app/errors';

/**
 * One at a time, in the order of arrival: the wait in front of the one engine. The durable, fair queue will stand
 * before this; nothing here outlives the process.
 */
export class Turns {
  private readonly line: (() => void)[] = [];
  private busy = false;

  /** Someone has the turn. */
  get taken(): boolean {
    return this.busy;
  }

  get waiting(): number {
    return this.line.length;
  }

  /** Resolves when the turn is the caller's, to the function that ends it. Rejects with `cancelled` once aborted. */
  take(signal?: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const cancelled = () =>
        reject(new ServiceError('cancelled', 'The request was cancelled while it waited.'));
      if (signal?.aborted) return cancelled();
      const begin = () => {
        signal?.removeEventListener('abort', leaveLine);
        resolve(this.end());
      };
      const leaveLine = () => {
        this.line.splice(this.line.indexOf(begin), 1);
        cancelled();
      };
      if (!this.busy) {
        this.busy = true;
        return begin();
      }
      signal?.addEventListener('abort', leaveLine, { once: true });
      this.line.push(begin);
    });
  }

  private end(): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const next = this.line.shift();
      if (next) next();
      else this.busy = false;
    };
  }
}
