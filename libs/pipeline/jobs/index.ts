export { Dispatcher } from './dispatcher';
export * from './estimates';
export * from './job.events';
export * from './job.queue';
export * from './job.record';
export * from './job.store';
export { JobsModule } from './jobs.module';
export * from './jobs.service';
export { inputKey, Upkeep } from './upkeep';
