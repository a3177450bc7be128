import { JobEvents, KEPT_EVENTS, type JobEvent, type StoredEvent } from '../job.events';

interface Subscriber {
  readonly listener: (event: StoredEvent) => void;
  readonly previews: boolean;
}

interface Channel {
  /** Oldest first. */
  kept: StoredEvent[];
  readonly subscribers: Set<Subscriber>;
  expiry?: NodeJS.Timeout;
}

/** Events where one process does everything: nothing outlives it. */
export class MemoryJobEvents extends JobEvents {
  private readonly channels = new Map<string, Channel>();
  /** One clock for all jobs: an id never comes again, even after its job's events were forgotten. */
  private last = { ms: 0, n: 0 };

  publish(jobId: string, event: JobEvent): Promise<void> {
    const channel = this.channel(jobId);
    if (event.type === 'preview') {
      const stored = { ...event, id: channel.kept.at(-1)?.id ?? '0-0' };
      for (const { listener, previews } of channel.subscribers) if (previews) deliver(listener, stored);
      this.dropIfEmpty(jobId, channel);
      return Promise.resolve();
    }
    const stored = { ...event, id: this.nextId() };
    channel.kept.push(stored);
    if (channel.kept.length > KEPT_EVENTS) channel.kept.shift();
    for (const { listener } of channel.subscribers) deliver(listener, stored);
    return Promise.resolve();
  }

  read(jobId: string, after?: string): Promise<readonly StoredEvent[]> {
    const kept = this.channels.get(jobId)?.kept ?? [];
    const known = kept.findIndex(({ id }) => id === after);
    return Promise.resolve(kept.slice(known + 1));
  }

  subscribe(
    jobId: string,
    listener: (event: StoredEvent) => void,
    { previews = false }: { readonly previews?: boolean } = {},
  ): Promise<() => void> {
    const channel = this.channel(jobId);
    const subscriber = { listener, previews };
    channel.subscribers.add(subscriber);
    return Promise.resolve(() => {
      channel.subscribers.delete(subscriber);
      this.dropIfEmpty(jobId, channel);
    });
  }

  previewsWanted(jobId: string): Promise<boolean> {
    const subscribers = this.channels.get(jobId)?.subscribers ?? [];
    return Promise.resolve([...subscribers].some(({ previews }) => previews));
  }

  expire(jobId: string, seconds: number): Promise<void> {
    const channel = this.channels.get(jobId);
    if (channel) {
      clearTimeout(channel.expiry);
      channel.expiry = setTimeout(() => void this.forget(jobId), seconds * 1000).unref();
    }
    return Promise.resolve();
  }

  /** Whoever still listens continues to. */
  forget(jobId: string): Promise<void> {
    const channel = this.channels.get(jobId);
    if (channel) {
      clearTimeout(channel.expiry);
      channel.kept = [];
      this.dropIfEmpty(jobId, channel);
    }
    return Promise.resolve();
  }

  close(): Promise<void> {
    for (const { expiry } of this.channels.values()) clearTimeout(expiry);
    this.channels.clear();
    return Promise.resolve();
  }

  private channel(jobId: string): Channel {
    let channel = this.channels.get(jobId);
    if (!channel) this.channels.set(jobId, (channel = { kept: [], subscribers: new Set() }));
    return channel;
  }

  private dropIfEmpty(jobId: string, channel: Channel): void {
    if (channel.kept.length > 0 || channel.subscribers.size > 0) return;
    if (this.channels.get(jobId) === channel) this.channels.delete(jobId);
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
