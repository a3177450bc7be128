import type { Redis } from 'ioredis';
import { type JobEvent, JobEvents, KEPT_EVENTS, KEPT_FOR, keptAfter, type StoredEvent } from '../job.events';
import { DEFAULT_PREFIX, type RedisConnection } from './redis.connection';
import { runScript } from './redis.scripts';

type Listener = (event: StoredEvent) => void;

interface Channel {
  readonly listeners: Set<Listener>;
  readonly subscribed: Promise<unknown>;
}

/**
 * A stream per job for what is kept, of a finished one a list of its states; and a channel per job for who watches, with
 * another for previews.
 */
export class RedisJobEvents extends JobEvents {
  /** One for the process, made for the first who watches: a connection with subscriptions can do nothing else. */
  private subscriber?: Redis;
  private readonly channels = new Map<string, Channel>();

  constructor(
    private readonly redis: RedisConnection,
    private readonly prefix = DEFAULT_PREFIX,
  ) {
    super();
  }

  async publish(jobId: string, event: JobEvent): Promise<void> {
    const json = JSON.stringify(event);
    const preview = event.type === 'preview';
    const script = preview ? 'eventPreview' : 'eventPublish';
    const args = preview ? [this.previews(jobId)] : [KEPT_EVENTS, KEPT_FOR, this.news(jobId)];
    try {
      await this.redis.run('write', (client) =>
        runScript(client, script, [this.stream(jobId), this.states(jobId)], [json, ...args]),
      );
    } catch (error) {
      this.redis.failed(error);
    }
  }

  async read(jobId: string, after?: string): Promise<readonly StoredEvent[]> {
    const [states, newest] = await this.redis.run('read', (client) =>
      Promise.all([
        client.get(this.states(jobId)),
        // The stream is cut roughly: it may hold a few more.
        client.xrevrange(this.stream(jobId), '+', '-', 'COUNT', KEPT_EVENTS),
      ]),
    );
    const events =
      states === null
        ? newest.reverse().map(([id, [, json]]) => ({ id, ...(JSON.parse(json) as JobEvent) }))
        : (JSON.parse(states) as StoredEvent[]);
    return keptAfter(events, after);
  }

  async subscribe(
    jobId: string,
    listener: Listener,
    { previews = false }: { readonly previews?: boolean } = {},
  ): Promise<() => void> {
    const names = previews ? [this.news(jobId), this.previews(jobId)] : [this.news(jobId)];
    // A listener may be given twice; each subscription ends by itself.
    const own: Listener = (event) => listener(event);
    const leave = () => names.forEach((name) => this.leave(name, own));
    try {
      await this.redis.within('read', Promise.all(names.map((name) => this.join(name, own))));
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }

  async previewsWanted(jobId: string): Promise<boolean> {
    try {
      const reply = await this.redis.run('read', (client) => client.pubsub('NUMSUB', this.previews(jobId)));
      return Number(reply[1]) > 0;
    } catch (error) {
      this.redis.failed(error);
      return false;
    }
  }

  async finish(jobId: string, seconds: number): Promise<void> {
    const keys = [this.stream(jobId), this.states(jobId)];
    await this.redis.run('write', (client) =>
      runScript(client, 'eventsFinish', keys, [Math.ceil(seconds * 1000)]),
    );
  }

  async forget(jobId: string): Promise<void> {
    await this.redis.run('write', (client) => client.del(this.stream(jobId), this.states(jobId)));
  }

  async close(): Promise<void> {
    this.subscriber?.disconnect();
    this.channels.clear();
    return Promise.resolve();
  }

  private join(name: string, listener: Listener): Promise<unknown> {
    let channel = this.channels.get(name);
    if (!channel) {
      channel = { listeners: new Set(), subscribed: this.connect().subscribe(name) };
      this.channels.set(name, channel);
    }
    channel.listeners.add(listener);
    return channel.subscribed;
  }

  private leave(name: string, listener: Listener): void {
    const channel = this.channels.get(name);
    if (!channel?.listeners.delete(listener) || channel.listeners.size > 0) return;
    this.channels.delete(name);
    this.subscriber?.unsubscribe(name).catch((error) => this.redis.failed(error));
  }

  private connect(): Redis {
    if (this.subscriber) return this.subscriber;
    this.subscriber = this.redis.subscriber();
    this.subscriber.on('message', (name: string, json: string) => {
      const listeners = this.channels.get(name)?.listeners;
      if (!listeners) return;
      // Read once, however many watch.
      const event = JSON.parse(json) as StoredEvent;
      for (const listener of listeners) listener(event);
    });
    return this.subscriber;
  }

  private stream(jobId: string): string {
    return `${this.prefix}events:${jobId}`;
  }

  private states(jobId: string): string {
    return `${this.prefix}states:${jobId}`;
  }

  private news(jobId: string): string {
    return `${this.prefix}news:${jobId}`;
  }

  private previews(jobId: string): string {
    return `${this.prefix}previews:${jobId}`;
  }
}
