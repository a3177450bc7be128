import type { Response } from 'express';
import { isAfter, isFinished, keptAfter, type JobRecord, type JobState, type StoredEvent } from '@app/jobs';
import { eventText, stateText, textOf } from './event.text';

export const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // no-transform: a proxy that compresses would hold events back.
  'Cache-Control': 'no-cache, no-transform',
  // nginx buffers replies otherwise.
  'X-Accel-Buffering': 'no',
  // At shutdown the server waits for connections, and nobody reuses this one soon.
  Connection: 'close',
};

/** Milliseconds after which a reader that lost its connection comes back. */
const RETRY = 3000;
/** Bytes that a reader may be behind before it loses progress and previews: the next ones tell as much. */
const LOSSY_ABOVE = 64 * 1024;
/** Bytes behind at which a reader is given up. */
const GIVEN_UP_ABOVE = 1024 * 1024;

interface Told {
  readonly state: JobState;
  readonly attempts?: number;
}

/** What one reader gets to see of one job: in order, nothing twice, a terminal state, then the outcome, then the end. */
export class EventStream {
  /** Live events that come while the kept ones are still read. */
  private early?: StoredEvent[] = [];
  /** The newest event that the reader has, or that was dropped for it. */
  private last?: string;
  private told?: Told;
  private closed = false;

  constructor(
    private readonly response: Response,
    private readonly onDrop: () => void = () => {},
  ) {}

  /** The reader knows that the job is finished; what came of it has to follow. */
  get wantsOutcome(): boolean {
    return !this.closed && !this.early && this.told !== undefined && isFinished(this.told);
  }

  /**
   * Opens the reply: the kept events after `after`, then what came meanwhile.
   * `job` is the record as it was before the events were read.
   */
  open(job: JobRecord, kept: readonly StoredEvent[], after?: string): void {
    this.response.status(200).set(STREAM_HEADERS).flushHeaders();
    this.response.write(`retry: ${RETRY}\n\n`);
    // A process that restarted keeps nothing; and of very long jobs the states are gone.
    if (!kept.some(({ type }) => type === 'state') && !isFinished(job)) this.tell(job);
    const seen = kept.length - keptAfter(kept, after).length;
    for (const [i, event] of kept.entries()) {
      if (i < seen) this.note(event);
      else this.pass(event);
    }
    const early = this.early ?? [];
    this.early = undefined;
    for (const event of early) this.pass(event);
  }

  /** A live event. */
  receive(event: StoredEvent): void {
    if (this.early) this.early.push(event);
    else this.pass(event);
  }

  heartbeat(): void {
    this.write(': heartbeat\n\n', true);
  }

  /** `outcome`: the text of the last event. `job` is absent when it was removed. */
  finish(outcome: string, job?: JobRecord): void {
    if (job) this.tell(job);
    this.end(outcome);
  }

  /** The service shuts down; the reader comes back to another process. */
  leave(): void {
    this.end(eventText('closing', {}));
  }

  private pass(event: StoredEvent): void {
    if (this.told && isFinished(this.told)) return;
    if (event.type === 'preview') {
      // It carries the id of the event before it: an older one than that shows less than the reader knows.
      if (this.last === undefined || !isAfter(this.last, event.id)) this.write(textOf(event), true);
      return;
    }
    if (this.last !== undefined && !isAfter(event.id, this.last)) return;
    const isNews = event.type !== 'state' || !this.knows(event);
    this.note(event);
    if (isNews) this.write(textOf(event), event.type !== 'state');
  }

  private note(event: StoredEvent): void {
    this.last = event.id;
    if (event.type === 'state') this.told = event;
  }

  /** From the record, so without an id. */
  private tell(job: JobRecord): void {
    if (this.knows(job)) return;
    this.told = job;
    this.write(stateText(job), false);
  }

  /** States alternate: the same one again is the event of what the record said already. */
  private knows({ state, attempts }: Told): boolean {
    return (
      this.told?.state === state &&
      (attempts === undefined || this.told.attempts === undefined || this.told.attempts === attempts)
    );
  }

  private write(text: string, lossy: boolean): void {
    if (this.closed) return;
    const behind = this.response.writableLength;
    if (behind > GIVEN_UP_ABOVE) {
      this.closed = true;
      this.response.destroy();
    } else if (!lossy || behind <= LOSSY_ABOVE) {
      this.response.write(text);
    } else {
      this.onDrop();
    }
  }

  private end(text: string): void {
    this.write(text, false);
    if (!this.closed) this.response.end();
    this.closed = true;
  }
}
