import { fairOrder } from '../fair.share';
import { UNNAMED, JobQueue, type JobLease, type Rescue } from '../job.queue';
import type { JobRecord } from '../job.record';
import { fromRow, toLines, type JobRow, type LineRow } from './job.row';
import type { JobsDatabase, Statement } from './jobs.database';

/** Someone who waits in take. */
interface Taker {
  /** As JSON. */
  readonly models: string;
  give(id: string): void;
  /** Without a job: aborted, closed, or for a reason. */
  leave(reason?: unknown): void;
}

/** A model, and its first jobs: each with when it was accepted. */
interface OldestRow {
  readonly model: string;
  readonly id: string;
  readonly created_at: number;
}

/** `waiting`: of the jobs that wait each account, or model, once. From one to the next, past all jobs between. */
const waitingBy = (column: 'account' | 'model', index: string) => `
  WITH RECURSIVE waiting (${column}) AS (
    SELECT min(${column}) FROM jobs INDEXED BY ${index} WHERE state = 'queued'
    UNION ALL
    SELECT (SELECT min(${column}) FROM jobs INDEXED BY ${index} WHERE state = 'queued' AND ${column} > waiting.${column})
    FROM waiting WHERE waiting.${column} IS NOT NULL
  )`;

/** Nothing ever takes a job from its only process. */
const NEVER = new AbortController().signal;

/**
 * Dispatch for the one process that owns DATA_DIR. The queue itself is the queued records, in their order; only which
 * of them are handed out, or must wait a while, is remembered here, and forgotten with the process.
 */
export class SqliteJobQueue extends JobQueue {
  /** Handed out, or given back for later: the timer that ends the delay. */
  private readonly aside = new Map<string, NodeJS.Timeout | undefined>();
  private readonly takers = new Set<Taker>();
  private readonly running: Statement<[], JobRow>;
  private readonly first: Statement<[models: string, most: number], LineRow & { readonly id: string }>;
  private readonly oldest: Statement<[most: number], OldestRow>;
  private readonly virtualTime: Statement<[], { readonly value: number }>;
  private closed = false;

  constructor(private readonly database: Pick<JobsDatabase, 'prepare' | 'read'>) {
    super();
    this.running = database.prepare(`SELECT seq, start, finish, record FROM jobs WHERE state = 'running'`);
    this.first = database.prepare(
      `${waitingBy('account', 'jobs_queued')}
       SELECT waiting.account, coalesce(accounts.finish, 0) AS ends, jobs.id, jobs.seq, jobs.start, jobs.finish
       FROM waiting LEFT JOIN accounts USING (account)
       CROSS JOIN jobs ON jobs.seq IN (
         SELECT seq FROM jobs AS own INDEXED BY jobs_queued WHERE state = 'queued' AND account = waiting.account
         AND model IN (SELECT value FROM json_each(?)) ORDER BY start, seq LIMIT ?
       )`,
    );
    this.oldest = database.prepare(
      `${waitingBy('model', 'jobs_queued_by_model')}
       SELECT jobs.model, jobs.id, json_extract(jobs.record, '$.createdAt') AS created_at
       FROM waiting CROSS JOIN jobs ON jobs.seq IN (
         SELECT seq FROM jobs AS own INDEXED BY jobs_queued_by_model WHERE state = 'queued' AND model = waiting.model
         ORDER BY seq LIMIT ?
       )`,
    );
    this.virtualTime = database.prepare(`SELECT value FROM meta WHERE name = 'virtual_time'`);
  }

  async start(rescue: Rescue): Promise<void> {
    // Nothing is handed out yet: what runs is of a process before this one.
    const orphans = this.database.read(() => this.running.all()).map(fromRow);
    for (const orphan of orphans) await rescue(orphan);
    this.serve();
  }

  add(): Promise<void> {
    this.serve();
    return Promise.resolve();
  }

  remove({ id }: Pick<JobRecord, 'id'>): Promise<void> {
    const timer = this.aside.get(id);
    if (timer) this.back(id);
    return Promise.resolve();
  }

  waiting(): Promise<ReadonlyMap<string, number>> {
    const oldest = new Map<string, number>();
    for (const { model, id, created_at } of this.database.read(() => this.oldest.all(this.aside.size + 1)))
      if (!this.aside.has(id) && !oldest.has(model)) oldest.set(model, created_at);
    return Promise.resolve(oldest);
  }

  take(signal: AbortSignal, models: readonly string[] = [UNNAMED]): Promise<JobLease | undefined> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.closed) return resolve(undefined);
      const end = () => {
        signal.removeEventListener('abort', abort);
        this.takers.delete(taker);
      };
      const taker: Taker = {
        models: JSON.stringify(models),
        give: (id) => (end(), resolve(this.lease(id))),
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- passed on as it came
        leave: (reason) => (end(), reason === undefined ? resolve(undefined) : reject(reason)),
      };
      const abort = () => taker.leave();
      signal.addEventListener('abort', abort);
      this.takers.add(taker);
      this.serve();
    });
  }

  close(): Promise<void> {
    this.closed = true;
    for (const taker of [...this.takers]) taker.leave();
    for (const timer of this.aside.values()) clearTimeout(timer);
    this.aside.clear();
    return Promise.resolve();
  }

  /** Hands jobs to those who wait, the longest waiting first. What goes wrong is theirs to know, not the giver's. */
  private serve(): void {
    for (const taker of [...this.takers]) {
      try {
        const id = this.next(taker);
        if (id === undefined) continue;
        this.aside.set(id, undefined);
        taker.give(id);
      } catch (error) {
        taker.leave(error);
      }
    }
  }

  /** Of each account one row more than is set aside: if there is a job left, it is among them. */
  private next({ models }: Taker): string | undefined {
    return this.database.read(() => {
      const lines = toLines(this.first.all(models, this.aside.size + 1));
      const order = fairOrder(lines, this.virtualTime.get()!.value);
      return order.find(({ id }) => !this.aside.has(id))?.id;
    });
  }

  private lease(id: string): JobLease {
    let ended = false;
    const end = (then: () => void): Promise<void> => {
      if (!ended && !this.closed) then();
      ended = true;
      return Promise.resolve();
    };
    return {
      id,
      lost: NEVER,
      done: () => end(() => this.back(id)),
      release: (delay = 0) =>
        end(() => {
          if (delay <= 0) return this.back(id);
          this.aside.set(id, setTimeout(() => this.back(id), delay).unref());
        }),
    };
  }

  /** The record decides from now on whether it is handed out. */
  private back(id: string): void {
    clearTimeout(this.aside.get(id));
    this.aside.delete(id);
    this.serve();
  }
}
