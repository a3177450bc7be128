import {
  KEY_TTL,
  JobStore,
  type Acceptance,
  type Admission,
  type JobPage,
  type JobQuery,
  type Work,
} from '../job.store';
import { isFinished, type Change, type JobDraft, type JobRecord } from '../job.record';
import type { JobsDatabase } from './jobs.database';
import { columns, fromRow, toJson, type JobRow } from './job.row';
import { prepareStatements, type Statements } from './job.statements';

/** The records in DATA_DIR. See jobs.schema.ts for what is where. */
export class SqliteJobStore extends JobStore {
  private readonly statements: Statements;

  constructor(private readonly database: JobsDatabase) {
    super();
    this.statements = prepareStatements(database);
  }

  accept(draft: JobDraft, admission: Admission): Promise<Acceptance> {
    return this.database.writeTogether(
      () => this.replay(draft) ?? this.refuse(draft, admission) ?? this.insert(draft),
    );
  }

  find(id: string): Promise<JobRecord | undefined> {
    return this.read(() => this.record(id));
  }

  findByKey(caller: string, key: string): Promise<JobRecord | undefined> {
    return this.read(() => {
      const known = this.statements.key.get(caller, key, Date.now() - KEY_TTL);
      return known && this.record(known.id);
    });
  }

  async update(id: string, change: Change): Promise<JobRecord | undefined> {
    const work = () => {
      const job = this.record(id);
      const changed = job && change(job);
      return changed && { job, changed };
    };
    const wanted = this.database.read(work);
    if (!wanted) return undefined;
    const ends = isFinished(wanted.changed) && !isFinished(wanted.job);
    // A running job whose start is lost begins anew, and a webhook whose delivery is lost comes twice: both may.
    // In turn: a job that is being cancelled does not begin meanwhile.
    if (!ends && !this.database.writing)
      return this.write('crash', () => this.replace(wanted.job, wanted.changed));
    return this.database.writeTogether(() => {
      const now = work(); // another's change may have come first
      return now && this.replace(now.job, now.changed);
    });
  }

  list({ userId, state, route, before, limit }: JobQuery): Promise<JobPage> {
    return this.read(() => {
      // The first that is given leads: users have the fewest jobs. Its index is in the order of the list.
      const filters = [
        ['user_id', userId, 'jobs_by_user'],
        ['state', state, 'jobs_by_state'],
        ['route', route, 'jobs_by_route'],
      ].filter(([, value]) => value !== undefined);
      const from = filters.length > 0 ? `jobs INDEXED BY ${filters[0][2]}` : 'jobs';
      const where = ['seq < ?', ...filters.map(([column]) => `${column} = ?`)].join(' AND ');
      const rows = this.database
        .prepare<unknown[], JobRow>(
          `SELECT seq, start, finish, record FROM ${from} WHERE ${where} ORDER BY seq DESC LIMIT ?`,
        )
        .all(before ?? Number.MAX_SAFE_INTEGER, ...filters.map(([, value]) => value), limit + 1);
      const jobs = rows.slice(0, limit).map(fromRow);
      return rows.length > limit ? { jobs, next: jobs[limit - 1].place.seq } : { jobs };
    });
  }

  ahead(id: string): Promise<readonly Work[] | undefined> {
    return this.read(() => {
      const job = this.record(id);
      if (job?.state !== 'queued') return undefined;
      const { start, seq } = job.place;
      return this.statements.ahead
        .all(start, seq)
        .map(({ reference, ...work }) => ({ ...work, reference: reference === 1 }));
    });
  }

  now(): Promise<number> {
    return Promise.resolve(Date.now());
  }

  /** No other process uses the file. */
  claim(): Promise<boolean> {
    return Promise.resolve(true);
  }

  count(): Promise<{ readonly queued: number; readonly running: number }> {
    return this.read(() => {
      const counts = { queued: 0, running: 0 };
      for (const { state, jobs } of this.statements.count.all()) counts[state] = jobs;
      return counts;
    });
  }

  overdue(now: number): Promise<readonly string[]> {
    return this.read(() => this.statements.overdue.all(now).map(({ id }) => id));
  }

  webhooksDue(now: number): Promise<readonly string[]> {
    return this.read(() => this.statements.webhooksDue.all(now).map(({ id }) => id));
  }

  finishedBefore(time: number): Promise<readonly string[]> {
    return this.read(() => this.statements.finishedBefore.all(time).map(({ id }) => id));
  }

  remove(id: string): Promise<void> {
    return this.database.writeTogether(() => {
      const job = this.record(id);
      if (!job) return;
      this.freeKey(job);
      this.statements.remove.run(id);
    });
  }

  check(): Promise<void> {
    return this.write('crash', () => void this.statements.touch.run());
  }

  private record(id: string): JobRecord | undefined {
    const row = this.statements.find.get(id);
    return row && fromRow(row);
  }

  private replay({ caller, idempotency }: JobDraft): Acceptance | undefined {
    if (!idempotency) return undefined;
    const known = this.statements.key.get(caller, idempotency.key, Date.now() - KEY_TTL);
    if (!known) return undefined;
    if (known.fingerprint !== idempotency.fingerprint) return { outcome: 'mismatch' };
    return { outcome: 'replayed', job: this.record(known.id)! };
  }

  private refuse({ caller }: JobDraft, { limit, limitPerCaller }: Admission): Acceptance | undefined {
    if (this.statements.active.get()!.jobs >= limit) return { outcome: 'queue_full' };
    if (limitPerCaller === undefined) return undefined;
    return this.statements.activeOf.get(caller)!.jobs >= limitPerCaller
      ? { outcome: 'caller_full' }
      : undefined;
  }

  private insert({ cost, ...draft }: JobDraft): Acceptance {
    const { start } = this.statements.start.get(draft.caller)!;
    const finish = start + cost;
    const { lastInsertRowid } = this.statements.insert.run(
      ...[draft.id, draft.caller, draft.picture.userId ?? null, draft.picture.route, start, finish],
      ...[draft.picture.width, draft.picture.height, draft.picture.steps],
      draft.picture.referenceKey === undefined ? 0 : 1,
      ...columns(draft),
      toJson(draft),
    );
    if (draft.idempotency) {
      const { key, fingerprint } = draft.idempotency;
      this.statements.putKey.run(draft.caller, key, draft.id, fingerprint, draft.createdAt);
    }
    return { outcome: 'accepted', job: { ...draft, place: { seq: Number(lastInsertRowid), start, finish } } };
  }

  private replace(job: JobRecord, changed: JobRecord): JobRecord {
    this.statements.update.run(...columns(changed), toJson(changed), job.id);
    if (job.state === 'queued' && changed.state === 'running') this.statements.advance.run(job.place.start);
    if (!changed.idempotency) this.freeKey(job);
    return { ...changed, place: job.place };
  }

  /** Its key may be another job's by now. */
  private freeKey({ id, caller, idempotency }: JobRecord): void {
    if (idempotency) this.statements.freeKey.run(caller, idempotency.key, id);
  }

  private read<T>(work: () => T): Promise<T> {
    return settle(() => this.database.read(work));
  }

  private write<T>(...of: Parameters<typeof this.database.write<T>>): Promise<T> {
    return settle(() => this.database.write(...of));
  }
}

/** The work is done at once; only its outcome comes as a promise. */
const settle = <T>(work: () => T): Promise<T> => new Promise((resolve) => resolve(work()));
