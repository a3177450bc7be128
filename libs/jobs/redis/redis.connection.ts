import { once } from 'node:events';
import { Logger } from '@nestjs/common';
import type { Redis, RedisOptions } from 'ioredis';
import { RedisClient } from './redis.client';
import { redisUnavailable } from './redis.errors';

/** milliseconds */
const COMMAND_TIMEOUT = 3_000;
/** How long a command waits for a connection that is just being made, in milliseconds. */
const READY_TIMEOUT = 1_000;
/** No attempt to connect waits longer for the next one, in milliseconds. */
const MAX_BACK_OFF = 2_000;

/** A connection may take so long to notice that it is cut, in milliseconds; meanwhile each command fails anew. */
const QUIET = 5_000;

/**
 * The keys of one deployment begin with it. In a cluster the braces keep all of them in one slot, which scripts over
 * several keys need.
 */
export const DEFAULT_PREFIX = '{sdxl}:';

/** A server that owes an answer for so long is gone, whatever the kernel still believes of the connection; milliseconds. */
const SILENCE = COMMAND_TIMEOUT + 1_000;
/** The same for BullMQ, which lets the server wait for jobs for up to 10 seconds. */
const PATIENT_SILENCE = 20_000;
/** Subscribers ask for nothing, so they would wait for news of a server that is gone. */
const PING_INTERVAL = 5_000;

/** Replies of a server that is not the one to write to, or no longer: its address leads to another by now, or soon. */
const ELSEWHERE = /\b(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN)\b/;

/** What every connection shares: it comes back by itself, however long Redis is away. */
const ENDLESS = {
  // Random, or all processes would come back in step.
  retryStrategy: (attempt: number) => Math.min(100 * 2 ** attempt, MAX_BACK_OFF) * (0.5 + Math.random() / 2),
  connectTimeout: COMMAND_TIMEOUT,
  keepAlive: 10_000,
  reconnectOnError: ({ message }: Error) => ELSEWHERE.test(message),
} satisfies RedisOptions;

/**
 * One process's way to Redis. Commands fail within seconds while Redis is away and are never sent late: a caller who
 * was refused must not find the job accepted after all. Redis may be away when the process starts.
 */
export class RedisConnection {
  readonly client: Redis;
  private readonly logger = new Logger('Redis');
  private away = false;
  private warnedAt = -Infinity;
  private connecting?: Promise<unknown>;
  /** Why there is no connection, as far as the last attempt to make one showed. */
  private reason?: unknown;

  constructor(readonly url: string) {
    this.client = new RedisClient({
      ...ENDLESS,
      url,
      commandTimeout: COMMAND_TIMEOUT,
      socketTimeout: SILENCE,
      enableOfflineQueue: false,
      // Sent again after a reconnect, a command that Redis had carried out would count twice.
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    });
    this.client.on('error', (error) => {
      // What ended a connection is followed by an error for each command that was under way on it.
      if (!/^(Connection is closed|Stream isn't writeable)/.test(error.message)) this.reason = error;
      this.failed(error);
    });
    this.client.on('ready', () => {
      this.reason = undefined;
      if (this.away) this.logger.log('Redis answers again');
      this.away = false;
      this.warnedAt = -Infinity;
    });
  }

  /** Options for BullMQ, whose commands wait until Redis is back. */
  get patient() {
    return { ...ENDLESS, url: this.url, maxRetriesPerRequest: null, socketTimeout: PATIENT_SILENCE };
  }

  /** Another connection that waits until Redis is back, with its subscriptions. */
  subscriber(): Redis {
    const client = new RedisClient({ ...this.patient, socketTimeout: SILENCE });
    client.on('error', (error) => this.failed(error));
    const pings = setInterval(() => {
      if (client.status === 'ready') client.ping().catch(() => {}); // the connection is made anew
    }, PING_INTERVAL).unref();
    client.once('end', () => clearInterval(pings));
    return client;
  }

  /** Commands through here throw ServiceError `storage_unavailable` and nothing else. */
  async run<T>(action: 'read' | 'write', commands: (client: Redis) => Promise<T>): Promise<T> {
    try {
      await this.ready();
      return await commands(this.client);
    } catch (error) {
      throw redisUnavailable(action, error);
    }
  }

  /** Rejects when `result` takes longer than a command may. */
  async within<T>(action: 'read' | 'write', result: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('Command timed out')), COMMAND_TIMEOUT);
    });
    try {
      return await Promise.race([result, late]);
    } catch (error) {
      throw redisUnavailable(action, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Logs an error once per outage, whichever connection of the process meets it. */
  failed(error: unknown): void {
    if (this.away || performance.now() - this.warnedAt < QUIET) return;
    this.warnedAt = performance.now();
    // Other connections may notice an outage, or remember it, while this one works: it decides when one is over.
    this.away = this.client.status !== 'ready';
    this.logger.warn(redisUnavailable('read', error).message);
  }

  /** Sentences about settings of the server under which accepted jobs could be lost; none where it does not tell. */
  async warnings(): Promise<string[]> {
    // Managed servers refuse CONFIG; INFO is open to all.
    const info = await this.run('read', (client) => client.info());
    const setting = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1];
    const warnings: string[] = [];
    const policy = setting('maxmemory_policy');
    if (policy !== undefined && policy !== 'noeviction') {
      warnings.push(
        `Redis may drop jobs when its memory is full: set maxmemory-policy to noeviction (it is ${policy}).`,
      );
    }
    if (setting('aof_enabled') === '0') {
      warnings.push('Redis loses the jobs of the last minutes when it crashes: set appendonly to yes.');
    }
    return warnings;
  }

  async close(): Promise<void> {
    this.client.disconnect();
    return Promise.resolve();
  }

  /** One wait for all commands. */
  private ready(): Promise<unknown> {
    if (this.client.status === 'ready') return Promise.resolve();
    this.connecting ??= once(this.client, 'ready', { signal: AbortSignal.timeout(READY_TIMEOUT) })
      .catch((error) => {
        throw this.reason ?? error;
      })
      .finally(() => (this.connecting = undefined));
    return this.connecting;
  }
}
