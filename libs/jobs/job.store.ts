import type { Change, JobDraft, JobRecord, JobState } from './job.record';
import type { PictureJob, PictureRoute } from './picture.job';

export interface Admission {
  /** See `hasRoom` in fair.share.ts. */
  readonly limit: number;
  /** Jobs that one caller of the account may have queued or running; undefined: no bound. */
  readonly limitPerCaller?: number;
}

export type Acceptance =
  | { readonly outcome: 'accepted' | 'replayed'; readonly job: JobRecord }
  /** The idempotency key belongs to another request, or to a job that was forgotten. */
  | { readonly outcome: 'mismatch' | 'forgotten' }
  /** The job's user was deleted since it was created. */
  | { readonly outcome: 'user_deleted' }
  | { readonly outcome: 'queue_full' | 'caller_full' };

export interface JobQuery {
  readonly userId?: string;
  readonly state?: JobState;
  readonly route?: PictureRoute;
  /** Only jobs with a smaller `place.seq`: the `next` of the page before. */
  readonly before?: number;
  /** 1..100. */
  readonly limit: number;
}

export interface JobPage {
  /** Newest first. */
  readonly jobs: readonly JobRecord[];
  /** Where the next page begins; undefined on the last. */
  readonly next?: number;
}

/** A queued job, and what its duration depends on. */
export interface QueuedJob extends Pick<PictureJob, 'id' | 'width' | 'height'> {
  /** Of all its pictures together, see `workOf`. */
  readonly steps: number;
  /** Pictures. */
  readonly count: number;
  /** Made from a picture, which the engine encodes first. */
  readonly reference: boolean;
}

/** How callers are known. Each has a key or an address of its own; of classes there are few. */
export const CALLER_CLASSES = ['key', 'address'] as const;
export type CallerClass = (typeof CALLER_CLASSES)[number];

/** What waits of each class. */
export type Backlog = Readonly<Record<CallerClass, Waiting>>;
interface Waiting {
  readonly queued: number;
  /** Of the job that was accepted first; undefined: none waits. */
  readonly oldestAt?: number;
}

/** Jobs of before there were accounts named addresses. */
export const callerClassOf = (account: string): CallerClass =>
  account.startsWith('key:') ? 'key' : 'address';

/** Deletions of users are remembered for this long, in milliseconds: no request takes as long from its begin to its write. */
export const DELETION_TTL = 600_000;

/** What an idempotency key belongs to. */
export interface KeyHolder {
  readonly fingerprint: string;
  /** Absent: it was forgotten. */
  readonly job?: JobRecord;
}

/** Idempotency keys answer for this long after their job was created, in milliseconds. */
export const KEY_TTL = 24 * 3600 * 1000;

/**
 * The records: who asked for what, how far it is, what came of it; and idempotency keys. Two drivers (SQLite in
 * DATA_DIR, Redis) pass one contract suite (job.store.contract.ts). This class is also the injection token. When it
 * resolves, a change is written. Failures (disk full, no connection) are thrown as ServiceError `storage_unavailable`
 * and leave nothing half-written.
 *
 * Rules of jobs are not here: what a change means is decided by the pure functions of job.transitions.ts.
 */
export abstract class JobStore {
  /**
   * Writes a new job, its idempotency key and its place at once, or nothing. In this order: a known key (younger than
   * KEY_TTL) answers `replayed` with its job, `forgotten`, or `mismatch`; then a deletion of its user; then the limits. The
   * place is that of fair.share.ts.
   */
  abstract accept(draft: JobDraft, admission: Admission): Promise<Acceptance>;

  abstract find(id: string): Promise<JobRecord | undefined>;

  /** Of a key that is younger than KEY_TTL. */
  abstract findByKey(caller: string, key: string): Promise<KeyHolder | undefined>;

  /**
   * Replaces a record by `change` of it, one after the other: no change is lost. `change` is pure, may be called more
   * than once, and returns undefined to leave the record alone. Resolves to the new record; undefined when there is no
   * job or the change was declined. A record without its `idempotency` frees its key.
   */
  abstract update(id: string, change: Change): Promise<JobRecord | undefined>;

  abstract list(query: JobQuery): Promise<JobPage>;

  /** All queued jobs in the fair order. Costs as much as there are: Estimates asks once for many. */
  abstract queued(): Promise<readonly QueuedJob[]>;

  /** What `accept` finds with this limit, for the account as a whole. */
  abstract hasRoom(account: string, limit: number): Promise<boolean>;

  abstract count(): Promise<{ readonly queued: number; readonly running: number }>;

  /** Costs as much as `queued`. */
  abstract backlog(): Promise<Backlog>;

  /** Queued jobs whose deadline is over; at most 100. */
  abstract overdue(now: number): Promise<readonly string[]>;

  /** Jobs with a pending webhook delivery whose `nextAt` (the earliest) is over, earliest first; at most 20. */
  abstract webhooksDue(now: number): Promise<readonly string[]>;

  /** Jobs that finished before `time` and have no pending webhook delivery, oldest first; at most 100. */
  abstract finishedBefore(time: number): Promise<readonly string[]>;

  /** Removes a record and its place; fine when there is none. Its key is free then, or holds for the rest of its time. */
  abstract remove(id: string, key?: 'frees' | 'holds'): Promise<void>;

  /**
   * Of what was begun for the user until now, nothing is accepted any more, whichever process began it. Resolves to the time
   * of that, as does `userDeletedAt` for DELETION_TTL.
   */
  abstract deleteUser(userId: string): Promise<number>;
  abstract userDeletedAt(userId: string): Promise<number | undefined>;

  /** Once their records are removed: what is left of a user beside them goes, also what a file still has of it. */
  abstract purge(userId: string): Promise<void>;

  /** The time by which jobs are dated, in milliseconds: of all processes the same, whatever their own clocks say. */
  abstract now(): Promise<number>;

  /** true for one process of those that share the records; then for none, until `ms` are over. */
  abstract claim(round: string, ms: number): Promise<boolean>;

  /** Rejects with the reason when records cannot be read or written. */
  abstract check(): Promise<void>;
}
