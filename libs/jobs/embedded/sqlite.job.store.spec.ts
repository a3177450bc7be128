import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeContract } from '../job.store.contract';
import { JobsDatabase } from './jobs.database';
import { SqliteJobStore } from './sqlite.job.store';

storeContract('SqliteJobStore', () => {
  const folder = mkdtempSync(join(tmpdir(), 'jobs-'));
  const database = JobsDatabase.open(folder);
  const close = () => {
    database.close();
    return Promise.resolve(rmSync(folder, { recursive: true }));
  };
  return Promise.resolve({ store: new SqliteJobStore(database), close });
});
