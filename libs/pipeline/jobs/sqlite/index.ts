export { JobsDatabase } from './jobs.database';
export { SqliteJobQueue } from './sqlite.job.queue';
export { SqliteJobStore } from './sqlite.job.store';
