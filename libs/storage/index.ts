export * from './local.storage';
export * from './s3.client';
export * from './s3.storage';
export * from './storage';
export * from './storage.module';
