import {
  DELETION_TTL,
  KEY_TTL,
  JobStore,
  type Acceptance,
  type Admission,
  type Backlog,
  type JobPage,
  type JobQuery,
  type KeyHolder,
  type QueuedJob,
} from '../job.store';
import { fairOrder, hasRoom } from '../fair.share';
import { modelOf } from '../job.queue';
import { workOf } from '../picture.job';
import { isFinished, type Change, type JobDraft, type JobRecord } from '../job.record';
import type { JobsDatabase } from './jobs.database';
import { accountOf, columns, fromRow, toBacklog, toJson, toLines, type JobRow } from './job.row';
import { prepareStatements, type Statements } from './job.statements';

/** The records in DATA_DIR. See jobs.schema.ts for what is where. */
export class SqliteJobStore extends JobStore {
  private readonly statements: Statements;
  /** What other processes began ended with them: this one is alone. */
  private readonly deletions = new Map<string, number>();

  constructor(private readonly database: JobsDatabase) {
    super();
    this.statements = prepareStatements(database);
  }

  accept(draft: JobDraft, admission: Admission): Promise<Acceptance> {
    return this.database.writeTogether(
      () => this.replay(draft) ?? this.deleted(draft) ?? this.refuse(draft, admission) ?? this.insert(draft),
    );
  }

  find(id: string): Promise<JobRecord | undefined> {
    return this.read(() => this.record(id));
  }

  findByKey(caller: string, key: string): Promise<KeyHolder | undefined> {
    return this.read(() => {
      const known = this.statements.key.get(caller, key, Date.now() - KEY_TTL);
      return known && { fingerprint: known.fingerprint, job: this.record(known.id) };
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

  queued(): Promise<readonly QueuedJob[]> {
    return this.read(() => {
      const lines = toLines(this.statements.queued.all());
      return fairOrder(lines, this.statements.virtualTime.get()!.value).map(
        ({ id, width, height, steps, count, reference }) => ({
          ...{ id, width, height, steps, count },
          reference: reference === 1,
        }),
      );
    });
  }

  hasRoom(account: string, limit: number): Promise<boolean> {
    return this.read(() => this.room(account, limit));
  }

  deleteUser(userId: string): Promise<number> {
    const now = Date.now();
    for (const [each, at] of this.deletions) if (at < now - DELETION_TTL) this.deletions.delete(each);
    this.deletions.set(userId, now);
    return Promise.resolve(now);
  }

  userDeletedAt(userId: string): Promise<number | undefined> {
    return Promise.resolve(this.deletions.get(userId));
  }

  async purge(userId: string): Promise<void> {
    await this.database.writeTogether(() => void this.statements.dropKeysOf.run(userId));
    this.database.scrub();
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

  backlog(): Promise<Backlog> {
    return this.read(() => toBacklog(this.statements.backlog.all()));
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

  remove(id: string, key: 'frees' | 'holds' = 'frees'): Promise<void> {
    return this.database.writeTogether(() => {
      const job = this.record(id);
      if (!job) return;
      if (key === 'frees') this.freeKey(job);
      this.statements.remove.run(id);
      this.statements.forgetAccount.run(accountOf(job));
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
    const job = this.record(known.id);
    return job ? { outcome: 'replayed', job } : { outcome: 'forgotten' };
  }

  private deleted({ createdAt, picture: { userId } }: JobDraft): Acceptance | undefined {
    const at = userId === undefined ? undefined : this.deletions.get(userId);
    return at !== undefined && at >= createdAt ? { outcome: 'user_deleted' } : undefined;
  }

  private refuse(draft: JobDraft, { limit, limitPerCaller }: Admission): Acceptance | undefined {
    if (!this.room(accountOf(draft), limit)) return { outcome: 'queue_full' };
    if (limitPerCaller === undefined) return undefined;
    return this.statements.activeOfCaller.get(accountOf(draft), draft.caller)!.jobs >= limitPerCaller
      ? { outcome: 'caller_full' }
      : undefined;
  }

  private room(account: string, limit: number): boolean {
    return hasRoom(this.statements.activeOf.get(account)!.jobs, this.statements.active.get()!.jobs, limit);
  }

  private insert({ cost, ...draft }: JobDraft): Acceptance {
    const { start } = this.statements.start.get(accountOf(draft), draft.caller)!;
    const finish = start + cost;
    const { width, height, steps, count, reference } = workOf(draft.picture);
    const { lastInsertRowid } = this.statements.insert.run(
      ...[draft.id, accountOf(draft), draft.caller, draft.picture.userId ?? null, draft.picture.route],
      ...[start, finish, width, height, steps, count, reference ? 1 : 0, modelOf(draft)],
      ...columns(draft),
      toJson(draft),
    );
    if (draft.idempotency) {
      const { key, fingerprint } = draft.idempotency;
      this.statements.dropKeys.run(Date.now() - KEY_TTL);
      this.statements.putKey.run(draft.caller, key, draft.id, fingerprint, draft.createdAt);
    }
    return { outcome: 'accepted', job: { ...draft, place: { seq: Number(lastInsertRowid), start, finish } } };
  }

  private replace(job: JobRecord, changed: JobRecord): JobRecord {
    this.statements.update.run(...columns(changed), toJson(changed), job.id);
    if (job.state === 'queued' && changed.state === 'running') this.advance(job);
    if (isFinished(changed)) this.statements.forgetAccount.run(accountOf(job));
    if (!changed.idempotency) this.freeKey(job);
    return { ...changed, place: job.place };
  }

  /** Its account's turn is over where the next one's begins. */
  private advance(job: JobRecord): void {
    const { statements } = this;
    const account = accountOf(job);
    const { start, finish } = job.place;
    const known = statements.account.get(account);
    const turn = Math.max(statements.virtualTime.get()!.value, known?.finish ?? 0);
    statements.advance.run(turn);
    statements.putAccount.run(account, Math.max(known?.virtual_time ?? 0, start), turn + finish - start);
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
