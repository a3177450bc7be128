import { JobEvents, KEPT_EVENTS, KEPT_FOR, keptAfter, type JobEvent, type StoredEvent } from '../job.events';

interface Subscriber {
  readonly listener: (event: StoredEvent) => void;
  readonly previews: boolean;
}

interface Kept {
  /** Oldest first. */
  readonly events: StoredEvent[];
  /** By performance.now(): the machine's clock may be set. */
  readonly goneAt: number;
}

/** Finished jobs whose states are kept, the newest: some 10 MB. Of older ones the record tells how they ended. */
const MOST_FINISHED = 10_000;
/** Milliseconds between two looks for what is kept no longer; who reads is never given it. */
const SWEEP_INTERVAL = 60_000;

/** Events where one process does everything: nothing outlives it. */
export class MemoryJobEvents extends JobEvents {
  private readonly subscribers = new Map<string, Set<Subscriber>>();
  private readonly live = new Map<string, Kept>();
  /** The states of finished jobs, in the order of their ends. */
  private readonly finished = new Map<string, Kept>();
  /** One clock for all jobs: an id never comes again, even after its job's events were forgotten. */
  private last = { ms: 0, n: 0 };
  private readonly timer = setInterval(() => this.sweep(), SWEEP_INTERVAL).unref();

  publish(jobId: string, event: JobEvent): Promise<void> {
    const preview = event.type === 'preview';
    const stored = { ...event, id: preview ? this.newest(jobId) : this.nextId() };
    if (!preview && !this.finished.has(jobId)) this.keep(jobId, stored);
    for (const { listener, previews } of this.subscribers.get(jobId) ?? [])
      if (previews || !preview) deliver(listener, stored);
    return Promise.resolve();
  }

  read(jobId: string, after?: string): Promise<readonly StoredEvent[]> {
    const kept = this.finished.get(jobId) ?? this.live.get(jobId);
    const events = kept && kept.goneAt > performance.now() ? kept.events : [];
    return Promise.resolve(keptAfter(events, after));
  }

  subscribe(
    jobId: string,
    listener: (event: StoredEvent) => void,
    { previews = false }: { readonly previews?: boolean } = {},
  ): Promise<() => void> {
    const subscribers = this.subscribers.get(jobId) ?? new Set();
    const subscriber = { listener, previews };
    this.subscribers.set(jobId, subscribers.add(subscriber));
    return Promise.resolve(() => {
      if (subscribers.delete(subscriber) && subscribers.size === 0) this.subscribers.delete(jobId);
    });
  }

  previewsWanted(jobId: string): Promise<boolean> {
    const subscribers = this.subscribers.get(jobId) ?? [];
    return Promise.resolve([...subscribers].some(({ previews }) => previews));
  }

  finish(jobId: string, seconds: number): Promise<void> {
    const kept = this.finished.get(jobId) ?? this.live.get(jobId);
    if (!kept) return Promise.resolve();
    const events = kept.events.filter(({ type }) => type === 'state');
    this.live.delete(jobId);
    this.finished.set(jobId, { events, goneAt: performance.now() + seconds * 1000 });
    if (this.finished.size > MOST_FINISHED) this.finished.delete(this.finished.keys().next().value!);
    return Promise.resolve();
  }

  /** Whoever still listens continues to. */
  forget(jobId: string): Promise<void> {
    this.live.delete(jobId);
    this.finished.delete(jobId);
    return Promise.resolve();
  }

  close(): Promise<void> {
    clearInterval(this.timer);
    for (const map of [this.subscribers, this.live, this.finished]) map.clear();
    return Promise.resolve();
  }

  private keep(jobId: string, event: StoredEvent): void {
    const events = this.live.get(jobId)?.events ?? [];
    events.push(event);
    if (events.length > KEPT_EVENTS) events.shift();
    this.live.set(jobId, { events, goneAt: performance.now() + KEPT_FOR });
  }

  private newest(jobId: string): string {
    return (this.live.get(jobId) ?? this.finished.get(jobId))?.events.at(-1)?.id ?? '0-0';
  }

  private sweep(): void {
    const now = performance.now();
    for (const kept of [this.live, this.finished])
      for (const [jobId, { goneAt }] of kept) if (goneAt <= now) kept.delete(jobId);
  }

  /** Grows even when the machine's clock is set back. */
  private nextId(): string {
    const now = Date.now();
    this.last = now > this.last.ms ? { ms: now, n: 0 } : { ms: this.last.ms, n: this.last.n + 1 };
    return `${this.last.ms}-${this.last.n}`;
  }
}

/** A listener that fails harms neither the job nor the other listeners; its error comes up as an uncaught one. */
function deliver(listener: (event: StoredEvent) => void, event: StoredEvent): void {
  try {
    listener(event);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
