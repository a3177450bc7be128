export * from './redis.connection';
export * from './redis.job.events';
export * from './redis.job.queue';
export * from './redis.job.store';
export * from './redis.worker.presence';
