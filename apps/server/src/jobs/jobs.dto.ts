import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { JobState, PictureRoute, WebhookEvent } from '@app/jobs';
import { JOB_STATES, PICTURE_ROUTES } from '@app/jobs';
import { ErrorDetail } from '../errors/api.errors.dto';
import { PictureReply } from './picture.dto';
import { FlagText, OneOf, OptionalText, UserId, WholeText } from '../validation/fields';
import { IsCursor } from './jobs.cursor';

export const DEFAULT_PAGE = 20;
export const MAX_PAGE = 100;

export class JobsRequest {
  /** Only jobs of this user. A key that is bound to a user gets no others anyway. */
  @OptionalText()
  @UserId()
  readonly user_id?: string;

  /** Only jobs in this state. */
  @OptionalText()
  @OneOf(JOB_STATES)
  readonly state?: JobState;

  /** Only jobs of this picture route. */
  @OptionalText()
  @OneOf(PICTURE_ROUTES)
  readonly route?: PictureRoute;

  /** Most jobs on the page. */
  @OptionalText()
  @WholeText(1, MAX_PAGE, { default: DEFAULT_PAGE })
  readonly limit?: number;

  /** Goes on where a page ended: its `next_cursor`. */
  @OptionalText()
  @IsCursor()
  @ApiPropertyOptional({ pattern: '^[A-Za-z0-9_-]+$', example: 'NDI' })
  readonly cursor?: string;
}

export class JobEventsRequest {
  /** Also sends small pictures of how far the sampling is; the engine makes them only while somebody watches. */
  @OptionalText()
  @FlagText({ default: false })
  readonly previews?: boolean;

  /** Of a signed address (`events_url`): when it ends, in Unix seconds. */
  @OptionalText()
  readonly expires?: string;

  /** Of a signed address: what proves that this service made it, for this job and time. */
  @OptionalText()
  readonly signature?: string;
}

export class ProgressReply {
  /**
   * What the engine does: `queued` (handed over, not begun), `text` (encodes the prompts), `image` (encodes the
   * reference picture), `sampling`, `decoding` (latents to pixels, until the picture is stored) or `done`.
   */
  readonly phase!: 'queued' | 'text' | 'image' | 'sampling' | 'decoding' | 'done';

  /**
   * Sampling steps done.
   * @example 18
   */
  readonly step!: number;

  /**
   * Sampling steps in all, of every picture of the request.
   * @example 50
   */
  readonly steps!: number;

  /**
   * 0 to 100, whole: 0 before the sampling, `step` of `steps` (at most 99) in it, 99 until the picture is stored, and
   * 100 only when the job has succeeded.
   * @example 36
   */
  readonly percent!: number;
}

export class WebhookDeliveryReply {
  /**
   * What the receiver is sent.
   * @example "job.succeeded"
   */
  readonly event!: WebhookEvent;

  /** `pending` until an attempt was answered with success (`delivered`) or none is left (`failed`). */
  readonly status!: 'pending' | 'delivered' | 'failed';

  /** Attempts so far. */
  readonly attempts!: number;

  /**
   * The answer to the last attempt in a few words; null before the first.
   * @example "200"
   */
  readonly outcome!: string | null;

  /** When it happened, in Unix seconds. */
  readonly at!: number;
}

export class WebhookReply {
  /**
   * Where the news go: host and port of its `webhook_url`. The rest may hold a secret, and whoever may read jobs reads this.
   * @example "example.com"
   */
  readonly host!: string;

  /** One per event, oldest first. */
  readonly deliveries!: WebhookDeliveryReply[];
}

export class JobReply {
  /**
   * 24 hexadecimal digits.
   * @example "0123456789abcdef01234567"
   */
  readonly id!: string;

  /** Always `job`. */
  @ApiProperty({ enum: ['job'] })
  readonly object!: 'job';

  /**
   * `queued`, `running`, or how it ended: `succeeded`, `failed`, `cancelled`, `expired` (not started in time). A running
   * job is queued again when its engine or its process dies.
   */
  readonly state!: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'expired';

  /** The picture route that was asked. */
  readonly route!: 'memory' | 'subject' | 'generations';

  /**
   * Whose it is: whose avatar or photo it is drawn from; of `generations` whose key asked for it, or its `user` where that
   * can be a user's id. null: nobody's.
   * @example "user123"
   */
  readonly user_id!: string | null;

  /**
   * The numbers of that user's photos that it is drawn from, the best first: `likeness` is measured to that one. Empty: none.
   * @example [2]
   */
  @ApiProperty({ type: 'integer', isArray: true })
  readonly photos!: number[];

  /**
   * Place among the queued jobs, 1 being the next; null when it does not wait. May grow: callers share the queue fairly.
   * @example 3
   */
  readonly position!: number | null;

  /** How far it is; null while it waits and when it ended without a picture. */
  readonly progress!: ProgressReply | null;

  /**
   * When it was accepted, in Unix seconds.
   * @example 1767225600
   */
  readonly created_at!: number;

  /** When an engine began it, the last time if more than once; null while it waits. Unix seconds. */
  readonly started_at!: number | null;

  /** When it ended; null before. Unix seconds. */
  readonly finished_at!: number | null;

  /** When its turn may come, by the speed of the pictures so far; null when not known. Unix seconds. */
  readonly estimated_start_at!: number | null;

  /** When it may be done; null when not known. Unix seconds. */
  readonly estimated_end_at!: number | null;

  /** Not begun by then: it expires; not done by then: it fails with `deadline_exceeded`. Unix seconds. */
  readonly deadline_at!: number;

  /** Times that an engine began it. */
  readonly attempts!: number;

  /**
   * Where to follow it: a page's `EventSource` sends no key, so where keys are needed the address is signed and ends as
   * links to pictures do; each reply has a fresh one. null: the service has nothing to sign with (its URL_SECRET).
   * @example "http://localhost:8000/v1/jobs/0123456789abcdef01234567/events"
   */
  readonly events_url!: string | null;

  /** The picture, as its route answers it; null unless `succeeded`. */
  readonly result!: PictureReply | null;

  /** Why there is no picture; null unless `failed`, `cancelled` or `expired`. */
  readonly error!: ErrorDetail | null;

  /** What was sent to its `webhook_url`; null when it has none. */
  readonly webhook!: WebhookReply | null;
}

export class JobsReply {
  /** Always `list`. */
  @ApiProperty({ enum: ['list'] })
  readonly object!: 'list';

  /** Newest first. */
  readonly data!: JobReply[];

  /** Whether older jobs follow. */
  readonly has_more!: boolean;

  /**
   * The `cursor` of the next page; null on the last.
   * @example "NDI"
   */
  readonly next_cursor!: string | null;
}
