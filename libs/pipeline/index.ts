export * from './engine.messages';
export * from './pipeline.service';
export * from './pipeline.types';
