import { IsOptional, Matches } from 'class-validator';
import { EngineVariables } from './engine.variables';
import { Flag, Hosts, List, Whole } from './rules';

/** How long jobs may wait and are kept, and who hears of them. */
export class JobVariables extends EngineVariables {
  // --- jobs ---

  /**
   * Jobs that one key (without keys: one address) may have waiting or running at a time; one more is answered 503
   * `queue_full`. Where several share the queue, each may have as many as are left of twice that.
   */
  @Whole(1, 1_000_000)
  QUEUE_LIMIT = 1000;

  /** The same for one user of a key or address (user_id, else user), answered 429. Jobs that name none have no such bound. */
  @Whole(1, 1_000_000)
  QUEUE_LIMIT_PER_USER = 100;

  /** Seconds that a job may take from request to picture when its request does not say (`deadline_seconds`). */
  @Whole(1, 604_800)
  DEADLINE_SECONDS = 3600;

  /** Seconds that jobs of another model of MODELS_FILE wait at most while there are jobs of the one that is loaded. */
  @Whole(0, 86_400)
  MODEL_SWITCH_AFTER = 60;

  /** Most seconds of `Prefer: wait=N`. */
  @Whole(1, 3600)
  MAX_WAIT = 300;

  /** true: a client that goes away stops its picture, unless others wait for it or it sent an Idempotency-Key. */
  @Flag()
  CANCEL_ON_DISCONNECT = true;

  /** Seconds after which finished jobs and their events are forgotten. */
  @Whole(1, 31_536_000)
  JOB_TTL = 86_400;

  /**
   * Seconds after which pictures are deleted. Unset: never.
   * @example 2592000
   */
  @IsOptional()
  @Whole(1, 315_360_000)
  RESULT_TTL?: number;

  // --- webhooks ---

  /**
   * Signs webhooks (Standard Webhooks: `whsec_` and base64); two, separated by a comma, while one replaces the other.
   * @example whsec_
   */
  @List()
  @Matches(/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/, {
    each: true,
    message:
      'WEBHOOK_SECRET must be whsec_ followed by at least 24 bytes in base64, or two of them with a comma',
  })
  WEBHOOK_SECRET: string[] = [];

  /**
   * Hosts, addresses or CIDRs, separated by commas, that webhooks may reach although they are private, and on any port.
   * Elsewhere webhooks reach public addresses on ports 80 and 443 only.
   * @example 10.0.0.0/8,hooks.internal
   */
  @Hosts()
  WEBHOOK_URL_ALLOW: string[] = [];
}
