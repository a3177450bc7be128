import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { OnApplicationShutdown } from '@nestjs/common';
import Database from 'libsql';
import { ConfigError } from '@app/config';
import { ServiceError } from '@app/errors';
import { databaseUnavailable, isBusy, isDamaged } from './jobs.errors';
import { MIGRATIONS } from './jobs.schema';

/**
 * What a commit survives. `power loss`: it is on the disk when it returns. `crash`: of this process, not of the
 * machine; the next commit of the other kind, or a checkpoint, brings it to the disk.
 */
export type Durability = 'power loss' | 'crash';

export type Statement<Parameters extends unknown[], Row = never> = Omit<
  Database.Statement<Parameters>,
  'get' | 'all'
> & {
  get(...parameters: Parameters): Row | undefined;
  all(...parameters: Parameters): Row[];
};

type Outcome = { readonly value: unknown } | { readonly error: Error };

/** Pages of 4 KiB in the log after which it is copied into the file: rarely enough not to show in the 99th percentile. */
const CHECKPOINT_PAGES = 8000;

/** Writes in one commit: while these are made, a few milliseconds, the event loop stands. */
const MOST_TOGETHER = 50;

/**
 * `jobs.db` in DATA_DIR, held by one process at a time: the lock is the kernel's, so it goes with the process,
 * however that ends. All calls are synchronous: within this process nothing comes between the statements of one.
 */
export class JobsDatabase implements OnApplicationShutdown {
  private durability?: Durability;
  private closed = false;
  private readonly together: { readonly work: () => unknown; readonly settle: (outcome: Outcome) => void }[] =
    [];

  private constructor(private readonly database: Database.Database) {}

  /** Throws ConfigError for what the operator can mend: a second process, a damaged file, one of a newer version. */
  static open(folder: string): JobsDatabase {
    try {
      mkdirSync(folder, { recursive: true });
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code;
      throw new ConfigError(`DATA_DIR must be a folder that the service's user may write to (${reason})`);
    }
    const database = connect(folder);
    const opened = new JobsDatabase(database);
    try {
      // In this order: a log that is first opened under the exclusive lock needs no memory shared with others.
      database.exec('PRAGMA locking_mode = EXCLUSIVE');
      database.exec('PRAGMA journal_mode = WAL');
      database.exec('BEGIN IMMEDIATE; COMMIT'); // takes the lock now, not with the first job
      database.exec('PRAGMA secure_delete = ON'); // what is deleted is overwritten
      database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      database.exec(`PRAGMA journal_size_limit = ${2 * CHECKPOINT_PAGES * 4096}`);
      opened.migrate();
      return opened;
    } catch (error) {
      opened.close();
      throw explain(error);
    }
  }

  /** Statements belong to the callers; they run inside `read` and `write` only. */
  prepare<Parameters extends unknown[], Row = never>(sql: string): Statement<Parameters, Row> {
    return this.guard(() => this.database.prepare<Parameters>(sql) as Statement<Parameters, Row>);
  }

  read<T>(work: () => T): T {
    return this.guard(work);
  }

  /** All that `work` writes, or nothing if it or the commit throws. */
  write<T>(durability: Durability, work: () => T): T {
    return this.guard(() => {
      if (this.durability !== durability) {
        this.database.exec(`PRAGMA synchronous = ${durability === 'power loss' ? 'FULL' : 'NORMAL'}`);
        this.durability = durability;
      }
      this.database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.database.exec('COMMIT');
        return result;
      } catch (error) {
        // SQLite rolls back by itself when the disk is full.
        if (this.database.inTransaction) this.database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /**
   * As `write('power loss', work)`, a moment later: what is asked for in one turn of the event loop waits for the disk
   * once. Each `work` counts or fails by itself; a commit that fails, fails all.
   */
  writeTogether<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const settle = (outcome: Outcome) =>
        'error' in outcome ? reject(outcome.error) : resolve(outcome.value as T);
      if (this.together.push({ work, settle }) === 1) setImmediate(() => this.commitTogether());
    });
  }

  /** Something waits to be written together. */
  get writing(): boolean {
    return this.together.length > 0;
  }

  /** What was deleted until now is in neither file any more: the log, which still has it, is copied and cut off. */
  scrub(): void {
    this.guard(() => this.database.exec('PRAGMA wal_checkpoint(TRUNCATE)'));
  }

  private commitTogether(): void {
    const group = this.together.splice(0, MOST_TOGETHER);
    if (this.together.length > 0) setImmediate(() => this.commitTogether());
    let outcomes: Outcome[];
    try {
      outcomes = this.write('power loss', () => group.map(({ work }) => this.attempt(work)));
    } catch (error) {
      outcomes = group.map(() => ({ error: error as Error }));
    }
    group.forEach(({ settle }, i) => settle(outcomes[i]));
  }

  /** What it wrote is gone if it throws, and nothing else. */
  private attempt(work: () => unknown): Outcome {
    this.database.exec('SAVEPOINT attempt');
    try {
      return { value: work() };
    } catch (error) {
      if (!this.database.inTransaction) throw error; // a full disk takes back all
      this.database.exec('ROLLBACK TO attempt');
      return { error: databaseUnavailable(error) as Error };
    } finally {
      if (this.database.inTransaction) this.database.exec('RELEASE attempt');
    }
  }

  onApplicationShutdown(): void {
    this.close();
  }

  /**
   * Frees the lock. libsql keeps a closed file open for as long as a statement of it is not collected, so the lock is
   * given up before: leaving the log lets the exclusive mode end, and the next transaction ends without a lock.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    try {
      this.database.exec('PRAGMA journal_mode = DELETE');
      this.database.exec('PRAGMA locking_mode = NORMAL');
      this.database.exec('BEGIN IMMEDIATE; COMMIT');
    } catch {
      // A full disk or a damaged file: what was committed stays in the log, and the lock goes with the process.
    }
    this.database.close();
  }

  private migrate(): void {
    const { user_version: version } = this.prepare<[], { user_version: number }>(
      'PRAGMA user_version',
    ).get()!;
    if (version > MIGRATIONS.length) {
      throw new ConfigError(
        `jobs.db in DATA_DIR was written by a newer version of the service (schema ${version}, this one knows ${MIGRATIONS.length}): start that version, or set DATA_DIR to another folder`,
      );
    }
    for (let next = version; next < MIGRATIONS.length; next++) {
      this.write('power loss', () =>
        this.database.exec(`${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}`),
      );
    }
  }

  private guard<T>(work: () => T): T {
    // A statement would go on working on the closed file, past the lock.
    if (this.closed)
      throw new ServiceError('storage_unavailable', 'The jobs are closed: the service is stopping.');
    try {
      return work();
    } catch (error) {
      throw databaseUnavailable(error);
    }
  }
}

function connect(folder: string): Database.Database {
  try {
    return new Database(join(folder, 'jobs.db'));
  } catch (error) {
    throw new ConfigError("jobs.db in DATA_DIR must be a file that the service's user may write to", {
      cause: error,
    });
  }
}

function explain(error: unknown): unknown {
  const cause = error instanceof ServiceError ? error.cause : error;
  if (isBusy(cause)) {
    return new ConfigError('Another process uses DATA_DIR: stop it, or set DATA_DIR to another folder');
  }
  if (isDamaged(cause)) {
    return new ConfigError(
      'jobs.db in DATA_DIR is damaged: put back a backup, or move jobs.db and jobs.db-wal away to begin without jobs',
    );
  }
  return databaseUnavailable(error);
}
