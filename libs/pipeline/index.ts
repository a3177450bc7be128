export * from './engine.messages';
export * from './job.runner';
export * from './pipeline.module';
export * from './pipeline.service';
export * from './pipeline.types';
export * from './pixels';
