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
  private delays = false;
  private endDelay = () => {};
  /** What it accepts, others draw: it can do so until its port closes. */
  private readonly onlyServes: boolean;

  constructor({ DRAIN_SECONDS, SHUTDOWN_DELAY, ROLE }: Config) {
    this.seconds = DRAIN_SECONDS;
    this.delaySeconds = ROLE === 'worker' ? 0 : SHUTDOWN_DELAY;
    this.onlyServes = ROLE === 'api';
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

  /**
   * Aborted, for the same reason, when whoever waits for a job that nobody draws yet is told to come again: with the drain,
   * for its turn would not come; where others draw, only when the grace is over.
   */
  get turningAway(): AbortSignal {
    return this.onlyServes ? this.expired : this.draining;
  }

  /** Throws `draining` where a job would be accepted that nobody here sees to its end. */
  assertAccepting(): void {
    if (!(this.onlyServes && this.delays)) this.draining.throwIfAborted();
  }

  /** Idempotent. */
  begin(): void {
    if (this.draining.aborted) return;
    this.beginning.abort(drainingError());
    if (this.seconds === 0) return this.expire();
    setTimeout(() => this.expire(), 1000 * this.seconds).unref();
  }

  /**
   * The same, and the port stays open for SHUTDOWN_DELAY; where others draw also until `left` resolves, for as long as there
   * is grace.
   */
  beginDelayed(left: () => Promise<unknown> = () => Promise.resolve()): void {
    this.delay ??= this.openDelay(left);
    this.begin();
  }

  private openDelay(left: () => Promise<unknown>): Promise<void> {
    this.delays = true;
    const hurried = new Promise<void>((resolve) => {
      this.endDelay = () => {
        this.delays = false;
        resolve();
      };
    });
    const told = new Promise((resolve) => setTimeout(resolve, 1000 * this.delaySeconds).unref());
    const empty = this.onlyServes ? told.then(() => Promise.race([left(), this.ended])) : told;
    return Promise.race([hurried, empty]).then(() => void (this.delays = false));
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
