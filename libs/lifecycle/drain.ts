import { setMaxListeners } from 'node:events';
import { Injectable, type BeforeApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';

/**
 * How this process ends, in two stages. First the drain: nothing new is begun, what runs may finish. Then, as soon as
 * nothing runs any more and at the latest after DRAIN_SECONDS, the shutdown: whatever is left is given back or refused with `draining`.
 * Between them the port stays open, for SHUTDOWN_DELAY at least where somebody has yet to learn that this process leaves.
 * Nest calls the hooks of one module after the other, so who must react at once listens to the signals.
 */
@Injectable()
export class Drain implements OnModuleDestroy, BeforeApplicationShutdown {
  readonly seconds: number;
  /** Seconds for which a delayed drain leaves the port open. */
  readonly delaySeconds: number;
  private readonly beginning = new AbortController();
  private readonly end = new AbortController();
  private readonly ended = new Promise<unknown>((resolve) => this.expired.addEventListener('abort', resolve));
  private delay?: Promise<void>;
  private endDelay = () => {};

  constructor({ DRAIN_SECONDS, SHUTDOWN_DELAY, ROLE }: Config) {
    this.seconds = DRAIN_SECONDS;
    this.delaySeconds = ROLE === 'worker' ? 0 : SHUTDOWN_DELAY;
    setMaxListeners(0, this.draining, this.expired); // one for each caller who waits
  }

  /** Aborted when the drain begins. Its reason is the ServiceError `draining`, for whoever is refused. */
  get draining(): AbortSignal {
    return this.beginning.signal;
  }

  /** Aborted, for the same reason, when the grace of what runs is over. */
  get expired(): AbortSignal {
    return this.end.signal;
  }

  /** Idempotent. */
  begin(): void {
    if (this.draining.aborted) return;
    this.beginning.abort(drainingError());
    if (this.seconds === 0) return this.expire();
    setTimeout(() => this.expire(), 1000 * this.seconds).unref();
  }

  /** The same, and the port stays open for SHUTDOWN_DELAY. */
  beginDelayed(): void {
    this.delay ??= new Promise((resolve) => {
      this.endDelay = resolve;
      setTimeout(resolve, 1000 * this.delaySeconds).unref();
    });
    this.begin();
  }

  /** Neither grace nor delay any more. */
  hurry(): void {
    this.endDelay();
    this.expire();
  }

  /** Resolves when the port may close. */
  async delayed(): Promise<void> {
    await this.delay;
  }

  /** Ends the grace now. */
  expire(): void {
    this.begin();
    this.end.abort(this.draining.reason);
  }

  /** Begins the drain, and resolves when `work` has ended or its grace is over. */
  async waitFor(work: () => Promise<unknown>): Promise<void> {
    this.begin();
    await Promise.race([work(), this.ended]);
  }

  /** The server closes only after this. */
  onModuleDestroy(): Promise<void> {
    this.begin();
    return this.delayed();
  }

  /** Every module has seen to the end of its work, or given up. */
  beforeApplicationShutdown(): void {
    this.expire();
  }
}

/** What whoever is refused by the end of this process gets. The one of its kind. */
export const drainingError = (): ServiceError =>
  new ServiceError('draining', 'The service is shutting down; send the request again', undefined, {
    retryAfter: 10,
  });
