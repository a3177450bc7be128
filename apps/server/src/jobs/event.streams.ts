import { Inject, Injectable, Logger, Optional, type OnModuleDestroy } from '@nestjs/common';
import type { Response } from 'express';
import { ServiceError } from '@app/errors';
import { Drain } from '@app/lifecycle';
import { isFinished, JobEvents, Jobs, type JobRecord } from '@app/jobs';
import { errorDetail } from '../errors/error.body';
import { Metrics } from '../metrics/metrics';
import { EventStream } from './event.stream';
import { END_ID, eventText } from './event.text';
import { JobPresenter } from './job.presenter';

/** Injected: milliseconds between two heartbeats, which keep idle connections open through proxies. */
export const HEARTBEAT = Symbol('HEARTBEAT');

/** Heartbeats of which a reader takes nothing before it is given up. */
const PATIENCE = 3;

export interface StreamOptions {
  /** The Last-Event-ID that a reader comes back with. */
  readonly after?: string;
  readonly previews?: boolean;
  /** The only user whose jobs the reader may see. */
  readonly userId?: string;
  /** Ends the stream when it aborts. */
  readonly revoked?: AbortSignal;
}

/** The streams of one job. */
class Readers extends Set<EventStream> {
  /** Aborted when the last one has gone. */
  readonly left = new AbortController();
}

/** A job as its readers were shown it. */
interface Look {
  readonly job: JobRecord;
  /** The text of the last event, when the job is finished. Made for these readers: a link in it expires. */
  readonly outcome?: string;
}

/** The event streams of this process. A job's readers share what is read of its record. */
@Injectable()
export class EventStreams implements OnModuleDestroy {
  private readonly logger = new Logger(EventStreams.name);
  /** By job. */
  private readonly streams = new Map<string, Readers>();
  private readonly looks = new Map<string, Promise<Look>>();
  private readonly timer: NodeJS.Timeout;
  private leaving?: Promise<unknown>;

  constructor(
    private readonly jobs: Jobs,
    private readonly events: JobEvents,
    private readonly presenter: JobPresenter,
    private readonly drain: Drain,
    @Inject(HEARTBEAT) private readonly heartbeat: number,
    @Optional() private readonly metrics?: Metrics,
  ) {
    drain.draining.addEventListener('abort', () => {
      this.leaving = Promise.all([...this.streams].map((entry) => this.leave(...entry)));
    });
    this.timer = setInterval(() => this.beat(), heartbeat).unref();
  }

  /** Resolves once the stream is open. Throws while nothing is sent yet: `job_not_found`, … */
  async serve(id: string, options: StreamOptions, response: Response): Promise<void> {
    const { after, previews, userId, revoked } = options;
    const job = await this.jobs.get(id, userId);
    if (after === END_ID && isFinished(job)) {
      // EventSource comes back after every end; this is how it learns to stay away.
      response.status(204).end();
      return;
    }
    const stream = new EventStream(response, () => this.metrics?.eventsDropped.inc());
    // Before the kept events are read, or one in between would be missed.
    const unsubscribe = await this.events.subscribe(
      id,
      (event) => {
        stream.receive(event);
        if (stream.wantsOutcome) void this.conclude(id, [stream]);
      },
      { previews },
    );
    const leave = () => stream.leave();
    response.once('close', () => {
      unsubscribe();
      revoked?.removeEventListener('abort', leave);
      this.remove(id, stream);
    });
    if (response.destroyed) return unsubscribe();
    const kept = await this.events.read(id);
    const outcome = await this.outcome(job);
    if (response.destroyed) return;
    this.add(id, stream);
    this.metrics?.observeStream(response);
    // Heartbeats that are taken begin it anew.
    response.setTimeout(PATIENCE * this.heartbeat, () => response.destroy());
    stream.open(job, kept, after);
    if (revoked?.aborted) return leave();
    revoked?.addEventListener('abort', leave);
    if (outcome !== undefined) stream.finish(outcome, job);
    // Not 503: a browser's EventSource would never come back.
    else if (this.drain.draining.aborted) leave();
    else if (stream.wantsOutcome) await this.conclude(id, [stream]);
  }

  /** The server closes only after its last reply. */
  async onModuleDestroy(): Promise<void> {
    this.drain.begin();
    await this.leaving;
    clearInterval(this.timer);
  }

  /** At once where the job waits; where it runs, when it is done or the grace is over. Never rejects. */
  private async leave(id: string, readers: Readers): Promise<void> {
    try {
      const end = AbortSignal.any([readers.left.signal, this.drain.expired]);
      if ((await this.jobs.get(id)).state !== 'queued') {
        await this.jobs.finished(id, end);
        await this.conclude(id, readers);
      }
    } catch {
      // It waits, or nobody is left, or its end cannot be sent from here any more.
    }
    for (const stream of readers) stream.leave();
  }

  /** Events can be lost, records cannot: a job that ended unheard is found here. */
  private beat(): void {
    for (const [id, streams] of this.streams) {
      for (const stream of streams) stream.heartbeat();
      void this.conclude(id, streams);
    }
  }

  /** Ends the streams of a job when it is finished. Never rejects. */
  private async conclude(id: string, streams: Iterable<EventStream>): Promise<void> {
    try {
      let { job, outcome } = await this.look(id);
      // The look-up may be one that others began before the end was written.
      if (outcome === undefined) ({ job, outcome } = await this.look(id));
      if (outcome === undefined) return;
      for (const stream of streams) stream.finish(outcome, job);
    } catch (error) {
      if (error instanceof ServiceError && error.code === 'job_not_found') {
        const text = eventText('error', errorDetail(error), END_ID);
        for (const stream of streams) stream.finish(text);
      } else {
        this.logger.warn(
          { err: error, job: id },
          'A job cannot be looked at; the next heartbeat tries again',
        );
      }
    }
  }

  private look(id: string): Promise<Look> {
    const shared = this.looks.get(id);
    if (shared) return shared;
    const look = this.lookUp(id).finally(() => this.looks.delete(id));
    this.looks.set(id, look);
    return look;
  }

  private async lookUp(id: string): Promise<Look> {
    const job = await this.jobs.get(id);
    return { job, outcome: await this.outcome(job) };
  }

  private async outcome(job: JobRecord): Promise<string | undefined> {
    if (!isFinished(job)) return undefined;
    return job.state === 'succeeded'
      ? eventText('result', await this.presenter.picture(job), END_ID)
      : eventText('error', errorDetail(job.error!), END_ID);
  }

  private add(id: string, stream: EventStream): void {
    const streams = this.streams.get(id) ?? new Readers();
    this.streams.set(id, streams.add(stream));
  }

  private remove(id: string, stream: EventStream): void {
    const streams = this.streams.get(id);
    if (!streams?.delete(stream) || streams.size > 0) return;
    this.streams.delete(id);
    streams.left.abort();
  }
}
