import type { JobRecord } from '../job.record';
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
