import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { userDeleted } from '@app/jobs';
import { Drain } from '@app/lifecycle';

interface Live {
  readonly userId?: string;
  readonly controller: AbortController;
  readonly settled: Promise<unknown>;
}

/** Requests of this process that still write or wait, so that they can be ended from outside. */
@Injectable()
export class OpenRequests implements OnModuleDestroy {
  private readonly live = new Set<Live>();

  constructor(private readonly drain: Drain) {
    const { expired } = drain;
    expired.addEventListener('abort', () => {
      for (const { controller } of this.live) controller.abort(expired.reason);
    });
  }

  /**
   * Runs `work` with a signal that aborts when `caller` does, when the user is deleted, or when this process ends and the
   * grace is over. From then on nothing more is run.
   */
  async run<T>(
    userId: string | undefined,
    caller: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.drain.expired.throwIfAborted();
    const controller = new AbortController();
    const signal = AbortSignal.any([caller, controller.signal]);
    const result = work(signal);
    const entry = { userId, controller, settled: result.catch(() => undefined) };
    this.live.add(entry);
    try {
      const value = await result;
      // A deletion that came too late to stop the work still decides the answer: the picture is being removed.
      const { signal: ended } = controller;
      if (ended.aborted && ended.reason !== this.drain.expired.reason) throw ended.reason;
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
    for (const { controller } of entries) controller.abort(userDeleted(userId));
    await Promise.all(entries.map(({ settled }) => settled));
  }

  /**
   * The HTTP server closes only after its last reply, and a picture can take minutes: who still waits when the grace is
   * over is told to come again. Jobs of those who sent an Idempotency-Key go on in the next process; the same key joins
   * them.
   */
  onModuleDestroy(): Promise<void> {
    return this.drain.waitFor(async () => {
      // Until the port closes there may be new ones.
      await this.drain.delayed();
      await Promise.all([...this.live].map(({ settled }) => settled));
    });
  }
}
