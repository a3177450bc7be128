/**
 * The steps from an empty file to the newest schema; `PRAGMA user_version` counts those that were taken. Steps that
 * were released never change: a new one is added at the end.
 *
 * A job's JSON is the truth. The columns beside it repeat what is looked for, and its place, which never changes.
 * The partial indexes hold only jobs that still matter to their question, so that finished ones cost it nothing.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice, even after the newest job was removed
    id TEXT NOT NULL UNIQUE,
    caller TEXT NOT NULL,
    user_id TEXT,
    route TEXT NOT NULL,
    state TEXT NOT NULL,
    start INTEGER NOT NULL,
    finish INTEGER NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    reference INTEGER NOT NULL,
    finished_at INTEGER,
    deadline_at INTEGER NOT NULL,
    webhook_at INTEGER, -- earliest pending delivery
    record TEXT NOT NULL
  );
  CREATE INDEX jobs_queued ON jobs (start, seq, width, height, reference, steps) WHERE state = 'queued';
  CREATE INDEX jobs_overdue ON jobs (deadline_at) WHERE state = 'queued';
  CREATE INDEX jobs_active ON jobs (caller, finish, state) WHERE finished_at IS NULL;
  CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
  CREATE INDEX jobs_webhook ON jobs (webhook_at) WHERE webhook_at IS NOT NULL;
  CREATE INDEX jobs_by_state ON jobs (state, seq, route);
  CREATE INDEX jobs_by_user ON jobs (user_id, seq, state, route) WHERE user_id IS NOT NULL;
  CREATE INDEX jobs_by_route ON jobs (route, seq);

  CREATE TABLE keys (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
  ) WITHOUT ROWID;

  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO meta VALUES ('virtual_time', 0);
  `,
  // Turns go to accounts: jobs from before are all of one, in the virtual time that they have their places by.
  `
  ALTER TABLE jobs ADD COLUMN account TEXT NOT NULL DEFAULT '';
  DROP INDEX jobs_queued;
  DROP INDEX jobs_active;
  CREATE INDEX jobs_queued ON jobs (account, start, seq, finish, id, width, height, steps, reference) WHERE state = 'queued';
  CREATE INDEX jobs_active ON jobs (account, caller, finish, state) WHERE finished_at IS NULL;

  CREATE TABLE accounts (
    account TEXT PRIMARY KEY,
    virtual_time INTEGER NOT NULL,
    finish INTEGER NOT NULL -- of its newest turn, in the virtual time of all
  ) WITHOUT ROWID;
  INSERT INTO accounts SELECT '', value, 0 FROM meta WHERE name = 'virtual_time';
  `,
  // Keys outlive their jobs.
  `
  CREATE INDEX keys_by_age ON keys (created_at);
  `,
  // A job may have several pictures.
  `
  ALTER TABLE jobs ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
  DROP INDEX jobs_queued;
  CREATE INDEX jobs_queued ON jobs (account, start, seq, finish, id, width, height, steps, count, reference) WHERE state = 'queued';
  `,
  // A job may name its model.
  `
  ALTER TABLE jobs ADD COLUMN model TEXT NOT NULL DEFAULT '';
  DROP INDEX jobs_queued;
  CREATE INDEX jobs_queued ON jobs (account, start, seq, finish, id, width, height, steps, count, reference, model) WHERE state = 'queued';
  CREATE INDEX jobs_queued_by_model ON jobs (model, seq, id) WHERE state = 'queued';
  `,
];
