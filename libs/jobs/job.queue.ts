import type { JobRecord } from './job.record';

/** A job that was handed to this process. It is nobody else's until it is ended in one of the two ways. */
export interface JobLease {
  readonly id: string;
  /** Aborted when the queue may have handed the job to another process: this one must stop and write nothing. */
  readonly lost: AbortSignal;
  /** The job is finished, or was found to be: it never comes again. */
  done(): Promise<void>;
  /** The job is to be handed out again, by its old place, not before `delay` milliseconds. */
  release(delay?: number): Promise<void>;
}

/** In the place of a model's name: the job names none. */
export const UNNAMED = '';

export const modelOf = ({ picture }: Pick<JobRecord, 'picture'>): string => picture.model ?? UNNAMED;

/** A job that still runs in its record, by the attempt that was seen, while nobody holds it. */
export type Orphan = Pick<JobRecord, 'id' | 'attempts'>;

/** Sees to the record of an orphan; resolves to what it is then, undefined when it went on meanwhile. */
export type Rescue = (orphan: Orphan) => Promise<JobRecord | undefined>;

/**
 * Dispatch: which job next, to whom. Carries ids only and writes no record; the records decide what is still to be done,
 * so an id that is handed out once too often does no harm. Two drivers (SQLite in DATA_DIR, BullMQ on Redis) pass one contract suite
 * (job.queue.contract.ts). This class is also the injection token.
 */
export abstract class JobQueue {
  /**
   * Brings queue and records together: queued jobs that were written but not added are added, and jobs of a process
   * that died are handed out again (at once where only one process exists, else when its locks run out). Those that the
   * queue does not know are reported to `rescue` first, now and from time to time.
   */
  abstract start(rescue: Rescue): Promise<void>;

  /** After the record was accepted. Idempotent. */
  abstract add(job: JobRecord): Promise<void>;

  /** A queued job was cancelled or expired. Fine when it is not there, or handed out already. */
  abstract remove(job: JobRecord): Promise<void>;

  /**
   * The next job by the fair order, of those that name one of `models`; waits for one. undefined once `signal` is aborted.
   * Should its record still run, its process died: whoever is handed it rescues it first.
   * @param models UNNAMED: jobs that name none
   */
  abstract take(signal: AbortSignal, models?: readonly string[]): Promise<JobLease | undefined>;

  /** When the oldest job was accepted that could be taken now, by the model that it names. */
  abstract waiting(): Promise<ReadonlyMap<string, number>>;

  /** Lets go of everything; leases that are still out come back as those of a dead process do. */
  abstract close(): Promise<void>;
}
