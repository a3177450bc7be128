import { createHash } from 'node:crypto';
import { Injectable, Logger, Optional } from '@nestjs/common';
import type { Request, RequestHandler } from 'express';
import { rateLimit, type AugmentedRequest } from 'express-rate-limit';
import { RedisStore, type RedisReply } from 'rate-limit-redis';
import { Config } from '@app/config';
import { ServiceError } from '@app/errors';
import { DEFAULT_PREFIX, RedisConnection } from '@app/jobs';
import { apiKeyOf } from './api.key';
import { callerOf } from './caller';

const MINUTE = 60_000;

/** Probes and scrapers come at their own pace, many of them from one address. */
const NOT_COUNTED = /^\/(?:health|metrics)(?:\/|$)/i;

/**
 * Requests a minute, by key where a known one came, else by address: so a wrong key counts against the address. Counts
 * are kept in Redis where there is one; while it is away, nobody is limited.
 */
@Injectable()
export class RateLimit {
  readonly handler: RequestHandler;
  private readonly logger = new Logger('RateLimit');
  private away = false;

  constructor(config: Config, @Optional() redis?: RedisConnection) {
    const limit = (request: Request) =>
      apiKeyOf(request) ? config.RATE_LIMIT_PER_KEY : config.RATE_LIMIT_PER_ADDRESS;
    this.handler = rateLimit({
      windowMs: MINUTE,
      limit,
      skip: (request) => limit(request) === 0 || NOT_COUNTED.test(request.path),
      keyGenerator: (request) => callerOf(request).name,
      identifier: (request) => (apiKeyOf(request) ? 'key' : 'address'),
      standardHeaders: 'draft-8',
      legacyHeaders: false,
      handler: (request, _response, next) => next(tooMany(request as AugmentedRequest)),
      store: redis && new RedisStore({ prefix: `${DEFAULT_PREFIX}rate:`, sendCommand: this.sender(redis) }),
      passOnStoreError: true,
      logger: {
        // With a message it is the store that failed; without one, a check of how the limiter is set up.
        error: (error, message) => (message ? this.failed() : this.logger.error({ err: error })),
        warn: (error) => this.logger.warn({ err: error }),
      },
    });
  }

  private sender({ client }: RedisConnection) {
    return async (command: string, ...args: string[]): Promise<RedisReply> => {
      try {
        const reply = (await client.call(command, ...args)) as RedisReply;
        this.away = false;
        return reply;
      } catch (error) {
        // The store loads its scripts once, at the start, when Redis may be away. With their names, which are their
        // hashes, it finds out later that Redis does not have them, and loads them again.
        if (command === 'SCRIPT') return createHash('sha1').update(args[1]).digest('hex');
        throw error;
      }
    };
  }

  /** Once per outage. */
  private failed(): void {
    if (!this.away) this.logger.warn('Redis does not answer: requests are not limited until it does');
    this.away = true;
  }
}

function tooMany(request: AugmentedRequest): ServiceError {
  const { limit, resetTime } = request.rateLimit;
  const whose = apiKeyOf(request) ? 'this key' : 'this address';
  const sentence = `Expected at most ${limit} requests a minute from ${whose}; send the request again later`;
  const seconds = Math.ceil(((resetTime?.getTime() ?? Date.now() + MINUTE) - Date.now()) / 1000);
  return new ServiceError('rate_limited', sentence, undefined, { retryAfter: Math.max(1, seconds) });
}
