import type { QueuedJob } from '../job.store';
import type { BacklogRow, columns, JobRow, LineRow } from './job.row';
import type { JobsDatabase } from './jobs.database';

type Columns = ReturnType<typeof columns>;
type New = [
  id: string,
  account: string,
  caller: string,
  userId: string | null,
  route: string,
  start: number,
  finish: number,
];
type Work = [width: number, height: number, steps: number, count: number, reference: number, model: string];
type QueuedRow = LineRow & Omit<QueuedJob, 'reference'> & { readonly reference: number };
type Id = { readonly id: string };
type Count = { readonly jobs: number };

/**
 * Every statement of the store but lists. A query repeats the condition of its partial index, without which SQLite
 * may not use that, and names the index where another seems as good: there are no statistics that would tell.
 */
export const prepareStatements = (database: JobsDatabase) => ({
  find: database.prepare<[id: string], JobRow>('SELECT seq, start, finish, record FROM jobs WHERE id = ?'),

  key: database.prepare<[caller: string, key: string, after: number], Id & { readonly fingerprint: string }>(
    'SELECT id, fingerprint FROM keys WHERE caller = ? AND key = ? AND created_at > ?',
  ),
  putKey: database.prepare<[caller: string, key: string, id: string, fingerprint: string, createdAt: number]>(
    'REPLACE INTO keys (caller, key, id, fingerprint, created_at) VALUES (?, ?, ?, ?, ?)',
  ),
  dropKeys: database.prepare<[before: number]>('DELETE FROM keys WHERE created_at <= ?'),
  dropKeysOf: database.prepare<[caller: string]>('DELETE FROM keys WHERE caller = ?'),
  freeKey: database.prepare<[caller: string, key: string, id: string]>(
    'DELETE FROM keys WHERE caller = ? AND key = ? AND id = ?',
  ),

  active: database.prepare<[], Count>(
    'SELECT count(*) AS jobs FROM jobs INDEXED BY jobs_active WHERE finished_at IS NULL',
  ),
  activeOf: database.prepare<[account: string], Count>(
    'SELECT count(*) AS jobs FROM jobs INDEXED BY jobs_active WHERE finished_at IS NULL AND account = ?',
  ),
  activeOfCaller: database.prepare<[account: string, caller: string], Count>(
    'SELECT count(*) AS jobs FROM jobs INDEXED BY jobs_active WHERE finished_at IS NULL AND account = ? AND caller = ?',
  ),
  count: database.prepare<[], Count & { readonly state: 'queued' | 'running' }>(
    'SELECT state, count(*) AS jobs FROM jobs INDEXED BY jobs_active WHERE finished_at IS NULL GROUP BY state',
  ),

  start: database.prepare<[account: string, caller: string], { readonly start: number }>(
    `SELECT max(
       coalesce((SELECT virtual_time FROM accounts WHERE account = ?1), 0),
       coalesce((SELECT max(finish) FROM jobs INDEXED BY jobs_active WHERE finished_at IS NULL AND account = ?1 AND caller = ?2), 0)
     ) AS start`,
  ),
  virtualTime: database.prepare<[], { readonly value: number }>(
    `SELECT value FROM meta WHERE name = 'virtual_time'`,
  ),
  account: database.prepare<[account: string], { readonly virtual_time: number; readonly finish: number }>(
    'SELECT virtual_time, finish FROM accounts WHERE account = ?',
  ),
  advance: database.prepare<[virtualTime: number]>(`UPDATE meta SET value = ? WHERE name = 'virtual_time'`),
  putAccount: database.prepare<[account: string, virtualTime: number, finish: number]>(
    'REPLACE INTO accounts (account, virtual_time, finish) VALUES (?, ?, ?)',
  ),
  /** Unless a job of it is left. */
  forgetAccount: database.prepare<[account: string]>(
    `DELETE FROM accounts WHERE account = ?1
     AND NOT EXISTS (SELECT 1 FROM jobs INDEXED BY jobs_active WHERE finished_at IS NULL AND account = ?1)`,
  ),
  /** Writes without a change. */
  touch: database.prepare<[]>(`UPDATE meta SET value = value WHERE name = 'virtual_time'`),

  insert: database.prepare<[...New, ...Work, ...Columns, record: string]>(
    `INSERT INTO jobs (id, account, caller, user_id, route, start, finish, width, height, steps, count, reference,
                       model, state, finished_at, deadline_at, webhook_at, record)
     VALUES (${Array(18).fill('?').join(', ')})`,
  ),
  update: database.prepare<[...Columns, record: string, id: string]>(
    'UPDATE jobs SET state = ?, finished_at = ?, deadline_at = ?, webhook_at = ?, record = ? WHERE id = ?',
  ),
  remove: database.prepare<[id: string]>('DELETE FROM jobs WHERE id = ?'),

  queued: database.prepare<[], QueuedRow>(
    `SELECT account, coalesce(accounts.finish, 0) AS ends, seq, start, jobs.finish, id, width, height, steps, count, reference
     FROM jobs INDEXED BY jobs_queued LEFT JOIN accounts USING (account) WHERE state = 'queued'`,
  ),
  /** With min() the record is that of the row which has it. */
  backlog: database.prepare<[], BacklogRow>(
    `SELECT account, count(*) AS jobs, min(seq), record FROM jobs INDEXED BY jobs_queued WHERE state = 'queued'
     GROUP BY substr(account, 1, 4) = 'key:'`,
  ),
  overdue: database.prepare<[now: number], Id>(
    `SELECT id FROM jobs INDEXED BY jobs_overdue WHERE state = 'queued' AND deadline_at <= ? ORDER BY deadline_at LIMIT 100`,
  ),
  webhooksDue: database.prepare<[now: number], Id>(
    'SELECT id FROM jobs WHERE webhook_at IS NOT NULL AND webhook_at <= ? ORDER BY webhook_at LIMIT 20',
  ),
  finishedBefore: database.prepare<[time: number], Id>(
    'SELECT id FROM jobs INDEXED BY jobs_finished WHERE finished_at IS NOT NULL AND finished_at < ? AND webhook_at IS NULL ORDER BY finished_at LIMIT 100',
  ),
});

export type Statements = ReturnType<typeof prepareStatements>;
