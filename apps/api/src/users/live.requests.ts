import { Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import { ServiceError } from '@app/errors';

interface Live {
  readonly userId?: string;
  readonly controller: AbortController;
  readonly settled: Promise<unknown>;
}

/** Requests of this process that still write or wait, so that they can be ended from outside. */
@Injectable()
export class LiveRequests implements BeforeApplicationShutdown {
  private readonly live = new Set<Live>();
  private draining = false;

  /** Runs `work` with a signal that aborts when `caller` does, when the user is deleted or at shutdown. */
  async run<T>(
    userId: string | undefined,
    caller: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.draining) throw drained();
    const controller = new AbortController();
    const signal = AbortSignal.any([caller, controller.signal]);
    const result = work(signal);
    const entry = { userId, controller, settled: result.catch(() => undefined) };
    this.live.add(entry);
    try {
      const value = await result;
      // What came too late to stop the work still decides the answer: its picture is being removed.
      if (controller.signal.aborted) throw controller.signal.reason;
      return value;
    } catch (error) {
      // Whatever the aborted step threw, the reason is why.
      throw signal.aborted ? signal.reason : error;
    } finally {
      this.live.delete(entry);
    }
  }

  /** Ends the user's requests and resolves once none of them can write any more. */
  async cancelUser(userId: string): Promise<void> {
    const entries = [...this.live].filter((entry) => entry.userId === userId);
    const sentence = `The data of user ${userId} was deleted while this request waited or ran`;
    for (const { controller } of entries) controller.abort(new ServiceError('cancelled', sentence));
    await Promise.all(entries.map(({ settled }) => settled));
  }

  /**
   * The HTTP server closes only after its last reply, and a picture can take minutes: callers are told at once to come
   * again. Jobs of those who sent an Idempotency-Key go on, here or in the next process; the same key joins them.
   */
  beforeApplicationShutdown(): void {
    this.draining = true;
    for (const { controller } of this.live) controller.abort(drained());
  }
}

const drained = () =>
  new ServiceError('draining', 'The service is shutting down; send the request again', undefined, {
    retryAfter: 10,
  });
