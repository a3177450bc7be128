import type { Line, Place } from '../fair.share';
import type { JobRecord } from '../job.record';
import { callerClassOf, type Backlog } from '../job.store';
import { nextDeliveryAt } from '../webhook.outbox';

export interface JobRow {
  readonly seq: number;
  readonly start: number;
  readonly finish: number;
  readonly record: string;
}

/** The columns that follow a record's changes: state, finished_at, deadline_at, webhook_at. */
export function columns(
  job: Omit<JobRecord, 'place'>,
): [state: string, finishedAt: number | null, deadlineAt: number, webhookAt: number | null] {
  return [job.state, job.finishedAt ?? null, job.deadlineAt, nextDeliveryAt(job) ?? null];
}

/** Without its place, which the columns hold: it is not known before the row has its number. */
export const toJson = (job: Omit<JobRecord, 'place'> & Partial<JobRecord>): string =>
  JSON.stringify({ ...job, place: undefined });

export const fromRow = ({ seq, start, finish, record }: JobRow): JobRecord => ({
  ...(JSON.parse(record) as Omit<JobRecord, 'place'>),
  place: { seq, start, finish },
});

/** A queued job as the fair order needs it. */
export interface LineRow extends Place {
  readonly account: string;
  /** Where the newest turn of the account ends. */
  readonly ends: number;
}

/** The accounts' lines, from rows in any order. */
export function toLines<Row extends LineRow>(rows: readonly Row[]): Line<Row>[] {
  const lines = new Map<string, Row[]>();
  for (const row of rows) {
    const line = lines.get(row.account);
    if (line) line.push(row);
    else lines.set(row.account, [row]);
  }
  return [...lines.values()].map((jobs) => ({
    finish: jobs[0].ends,
    jobs: jobs.sort((a, b) => a.start - b.start || a.seq - b.seq),
  }));
}

/** Jobs of one class of callers: the account and the record of the oldest, and how many there are. */
export interface BacklogRow {
  readonly account: string;
  readonly record: string;
  readonly jobs: number;
}

export function toBacklog(rows: readonly BacklogRow[]): Backlog {
  const found = rows.map(({ account, record, jobs: queued }) => {
    const { createdAt: oldestAt } = JSON.parse(record) as JobRecord;
    return [callerClassOf(account), { queued, oldestAt }];
  });
  return { key: { queued: 0 }, address: { queued: 0 }, ...Object.fromEntries(found) } as Backlog;
}

export const accountOf = ({ account = '' }: Pick<JobRecord, 'account'>): string => account;
